//! The heap profile over the simulated system: each site gets what it allocated, whatever the order, the
//! front and the thread.

use super::*;
use crate::base::random::weight;
use crate::heap::{Offer, Stamps};
use crate::medium::MediumClass;
use std::collections::{BTreeMap, VecDeque};

const SEED: u64 = 42;

/// How a block is freed.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    C,
    Rust,
}

/// What a profile says of a site, in blocks and bytes.
#[derive(Default, Debug, Clone, Copy)]
struct Said {
    samples: f64,
    blocks: f64,
    bytes: f64,
    live_blocks: f64,
    live_bytes: f64,
    live_asked: f64,
    peak_bytes: f64,
}

impl Harness {
    fn start(&self, rate: usize) {
        assert!(self.allocator.start_profile(rate, SEED));
    }

    /// As `process::alloc_class` and `alloc_big` do it.
    fn alloc_at(&self, heap: &Heap, site: usize, size: usize) -> *mut u8 {
        let allocator = &self.allocator;
        allocator.arena.os.site.store(site, Ordering::Relaxed);
        let Some(class) = size_class::of_aligned(size, 1) else {
            let block = allocator.alloc_big(None, size, 1).expect("memory").block;
            allocator.draw_for(block, size, allocator.usable(block).expect("a block"));
            return block;
        };
        let class = class.max(size_class::LEAST);
        let block = heap.pop(class);
        if !block.is_null() {
            // SAFETY: a block of a slab, and this test's.
            unsafe { stamp::take_away(block) };
            return block;
        }
        let slow = || allocator.alloc_class(Some(heap), class);
        allocator.follow_profile(heap);
        let got = match heap.is_profiled() {
            true => allocator.alloc_counted(heap, class, size, slow),
            false => match heap.pop(class) {
                block if block.is_null() => slow(),
                block => Some(Allocated::unknown(block)),
            },
        };
        let block = got.expect("memory").block;
        // SAFETY: a block of a slab, and this test's.
        unsafe { stamp::take_away(block) };
        block
    }

    /// As the fronts and `process` do it.
    fn free_by(&self, heap: &Heap, way: Way, size: usize, block: *mut u8) {
        let allocator = &self.allocator;
        let class = size_class::of_aligned(size, 1).map(|class| class.max(size_class::LEAST));
        let refused = match (way, heap.offer_as(way, class, block)) {
            (_, Offer::Taken) => return,
            (Way::C, Offer::Refused(at)) => {
                heap.put_aside(allocator.samples, at, block) || {
                    allocator.forget_sample(block);
                    heap.put_aside_again(allocator.samples, at, block)
                }
            }
            _ => false,
        };
        if refused {
            return;
        }
        allocator.follow_profile(heap);
        if way == Way::Rust && heap.put_any_aside(allocator.samples, block) {
            return;
        }
        allocator.forget_sample(block);
        // SAFETY: a live block of this test's.
        unsafe {
            match way {
                Way::C => allocator.free_checked(Freer::Heap(heap), block),
                Way::Rust => allocator.free_slow(Freer::Heap(heap), block),
            }
        }
    }

    fn said(&self) -> BTreeMap<usize, Said> {
        let (mut said, samples) = (BTreeMap::<usize, Said>::new(), self.allocator.samples);
        samples.for_each_site(|site, counts, peak| {
            let one = said.entry(samples.stack_of(site).next().expect("an address")).or_default();
            let each = weight(site.bytes(), samples.rate());
            let bytes = site.bytes() as f64 * each;
            one.samples += counts.allocated as f64;
            one.blocks += counts.allocated as f64 * each;
            one.bytes += counts.allocated as f64 * bytes;
            one.live_blocks += counts.live() as f64 * each;
            one.live_bytes += counts.live() as f64 * bytes;
            one.live_asked += counts.asked_live() as f64 * each;
            one.peak_bytes += peak.live() as f64 * bytes;
        });
        said
    }
}

impl Heap {
    fn offer_as(&self, way: Way, class: Option<SizeClass>, block: *mut u8) -> Offer {
        match (way, class) {
            (Way::C, _) => self.offer(block),
            (Way::Rust, Some(class)) if self.push_inlined(class, block) => Offer::Taken,
            _ => Offer::Unknown,
        }
    }
}

/// Within five standard deviations of what it should be, of so many samples.
fn is_near(said: f64, truth: f64, samples: f64) -> bool {
    (said - truth).abs() <= 5.0 * truth / samples.max(1.0).sqrt()
}

/// Of blocks of which few are live.
const ROUNDS_OF_FEW: usize = if cfg!(miri) { 320 } else { 3200 };
const ROUNDS: usize = if cfg!(miri) { 100 } else { 100_000 };
/// Bytes of the two sites' blocks.
const SIZES_OF_SITES: &[usize] = if cfg!(miri) { &[100] } else { &[16, 100, 1024, 5000] };
const SHORT: usize = 1;
const LONG: usize = 2;

/// A site whose blocks live for a moment, and one whose blocks stay, in turns.
fn two_sites(order: [usize; 2], way: Way, size: usize) {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    harness.start(size * 64);
    let mut kept = Vec::new();
    for _ in 0..ROUNDS {
        for site in order {
            let block = harness.alloc_at(heap, site, size);
            match site {
                SHORT => harness.free_by(heap, way, size, block),
                _ => kept.push(block),
            }
            if kept.len() > 2000 {
                kept.drain(..1000).for_each(|block| harness.free_by(heap, way, size, block));
            }
        }
    }
    let said = harness.said();
    let of_site = |site| said.get(&site).copied().unwrap_or_default();
    let truth = ROUNDS as f64;
    for site in order {
        let one = of_site(site);
        assert!(is_near(one.blocks, truth, one.samples), "{order:?} {way:?} {size}: site {site} {one:?}");
    }
    assert_eq!(of_site(SHORT).live_blocks, 0.0, "{order:?} {way:?} {size}");
    let (live, one) = (kept.len() as f64, of_site(LONG));
    assert!(is_near(one.live_blocks, live, live / 64.0), "{order:?} {way:?}: {live} {one:?}");
    kept.drain(..).for_each(|block| harness.free_by(heap, way, size, block));
    let after = harness.said().get(&LONG).copied().unwrap_or_default();
    assert_eq!(after.live_blocks, 0.0);
    assert!(after.peak_bytes >= one.live_bytes);
}

#[test]
fn a_balance_of_few_blocks_takes_a_slow_path_for_many_of_them() {
    for (size, each) in [(48, 32), (1024, 8)] {
        let harness = Harness::new(Sim::new());
        let heap = harness.heap();
        heap.set_stamps(Stamps::Kept);
        harness.start(1 << 40);
        let class = size_class::of_aligned(size, 1).expect("a class");
        let (mut live, mut slow, mut seen) = (VecDeque::new(), 0, 0);
        for _ in 0..ROUNDS_OF_FEW {
            let mut block = heap.pop(class);
            if block.is_null() {
                slow += 1;
                block = harness.alloc_at(heap, SHORT, size);
            } else {
                // SAFETY: a block of a slab, and this test's.
                unsafe { stamp::take_away(block) };
            }
            live.push_back(block);
            if live.len() > 3 {
                let oldest = live.pop_front().expect("a block");
                seen += heap.small(oldest).is_some() as usize;
                harness.free_by(heap, Way::C, size, oldest);
            }
        }
        assert!(slow <= ROUNDS_OF_FEW / each + 4, "{size}: {slow} slow paths");
        assert!(seen > ROUNDS_OF_FEW / 2, "{size}: {seen} were known to be blocks");
    }
}

#[test]
fn a_site_of_short_lives_before_one_of_long_lives_gets_what_it_allocated() {
    for way in [Way::C, Way::Rust] {
        SIZES_OF_SITES.iter().for_each(|&size| two_sites([SHORT, LONG], way, size));
    }
}

#[test]
fn a_site_of_short_lives_behind_one_of_long_lives_gets_what_it_allocated() {
    for way in [Way::C, Way::Rust] {
        SIZES_OF_SITES.iter().for_each(|&size| two_sites([LONG, SHORT], way, size));
    }
}

#[test]
fn blocks_of_every_kind_are_sampled_by_their_bytes() {
    let harness = Harness::new(Sim::new());
    let (heap, other) = (harness.heap(), harness.heap());
    harness.start(300_000);
    let mut held = Vec::new();
    let rounds = if cfg!(miri) { 3 } else { 1500 };
    for round in 0..rounds {
        for (site, &size) in (1..).zip(&SIZES) {
            let (heap, way) = if round % 2 == 0 { (heap, Way::C) } else { (other, Way::Rust) };
            held.push((harness.alloc_at(heap, site, size), size, way));
        }
        if held.len() > 200 {
            for (block, size, way) in held.drain(..100) {
                // Freed by whichever thread.
                harness.free_by(if round % 3 == 0 { heap } else { other }, way, size, block);
            }
        }
    }
    let said = harness.said();
    for (site, &size) in (1..).zip(&SIZES).filter(|_| !cfg!(miri)) {
        let bytes = size_class::of_aligned(size, 1)
            .map_or(size.next_multiple_of(4096), |class| size_class::bytes(class.max(size_class::LEAST)));
        let bytes = MediumClass::of(size).map_or(bytes, MediumClass::bytes);
        let truth = (rounds * bytes) as f64;
        let one = said.get(&site).copied().unwrap_or_default();
        let expected = truth / 300_000.0;
        assert!(is_near(one.bytes, truth, expected), "{size}: {truth} {one:?}");
    }
    for (block, size, way) in held {
        harness.free_by(heap, way, size, block);
    }
    let live: f64 = harness.said().values().map(|one| one.live_bytes).sum();
    assert_eq!(live, 0.0, "all was freed");
}

#[test]
fn where_each_block_is_a_sample_the_profile_is_the_truth() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    harness.start(1);
    let sizes = [1, 16, 17, 500, 4000, 40_000, 150_000];
    let held: Vec<_> =
        (0..70).map(|at| (sizes[at % 7], harness.alloc_at(heap, at % 7, sizes[at % 7]))).collect();
    let said = harness.said();
    for (site, &size) in sizes.iter().enumerate() {
        assert_eq!((said[&site].samples, said[&site].live_asked.round()), (10.0, 10.0 * size as f64));
    }
    held.into_iter().for_each(|(size, block)| harness.free_by(heap, Way::C, size, block));
    assert!(harness.said().values().all(|one| one.live_blocks == 0.0 && one.live_asked == 0.0));
}

#[test]
fn a_thread_sees_frees_from_the_first_one_behind_the_start() {
    let harness = Harness::new(Sim::new());
    let (one, other) = (harness.heap(), harness.heap());
    // The other goes its fast paths in balance, and takes no slow path by itself.
    let mut block = harness.alloc_at(other, SHORT, 64);
    harness.free_by(other, Way::Rust, 64, block);
    let (rounds, blocks) = if cfg!(miri) { (2, 20) } else { (3, 100) };
    for round in 0..rounds {
        harness.start(1);
        // Who starts it takes part at once.
        harness.allocator.follow_profile(one);
        for _ in 0..blocks {
            let sampled = harness.alloc_at(one, LONG, 64);
            harness.free_by(other, Way::Rust, 64, sampled);
            block = harness.alloc_at(other, SHORT, 64);
            harness.free_by(one, Way::C, 64, block);
        }
        let said = harness.said();
        assert_eq!(said[&LONG].samples, blocks as f64, "round {round}");
        assert!(said.values().all(|site| site.live_blocks == 0.0), "round {round}: {said:?}");
        harness.allocator.stop_profile();
        // Fast paths again, from the next slow path on.
        for heap in [one, other] {
            let block = harness.alloc_at(heap, SHORT, 64);
            harness.free_by(heap, Way::Rust, 64, block);
            harness.allocator.follow_profile(heap);
            assert!(!heap.is_profiled());
            let block = harness.alloc_at(heap, SHORT, 64);
            assert!(heap.push_inlined(size_class::of(64), block));
        }
        assert_eq!(harness.said()[&LONG].samples, blocks as f64, "what it knows stays");
    }
}

#[test]
fn a_heap_that_ends_and_one_that_is_trimmed_keep_every_block() {
    let harness = Harness::new(Sim::new());
    let id = harness.heap().id();
    harness.start(4000);
    let (rounds, half) = if cfg!(miri) { (2, 40) } else { (5, 150) };
    for _ in 0..rounds {
        let heap = harness.allocator.registry.heap(id);
        let mut held: Vec<_> = (0..2 * half).map(|_| harness.alloc_at(heap, SHORT, 200)).collect();
        held.drain(..half).for_each(|block| harness.free_by(heap, Way::C, 200, block));
        harness.allocator.trim(Some(heap));
        held.extend((0..half).map(|_| harness.alloc_at(heap, SHORT, 200)));
        held.sort();
        held.dedup();
        assert_eq!(held.len(), 2 * half, "no block is handed out twice");
        held.into_iter().for_each(|block| harness.free_by(heap, Way::C, 200, block));
        harness.end(id);
        assert_eq!(harness.claim().expect("the parked one").id(), id);
    }
    let heap = harness.allocator.registry.heap(id);
    harness.end(id);
    assert_eq!(heap.slab_figures(&harness.allocator.arena).1, 0, "all blocks are home");
}

/// Before it, it takes no addresses; without memory it does not begin, and a later one does.
#[test]
fn a_profile_maps_its_own_memory_and_begins_where_there_is_some() {
    let harness = Harness::new(Sim::new());
    let (heap, os) = (harness.heap(), &harness.allocator.arena.os);
    assert!(size_of::<Samples>() < 4096);
    os.refuse_everything(true);
    assert!(!harness.allocator.start_profile(1, SEED) && !harness.allocator.is_profiling());
    os.refuse_everything(false);
    harness.start(1);
    let block = harness.alloc_at(heap, 7, 100);
    assert!(harness.allocator.samples.may_have(block));
    assert_eq!(harness.said().len(), 1);
}
