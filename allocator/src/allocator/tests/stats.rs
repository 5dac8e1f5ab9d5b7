//! Statistics: exact while nobody is at work, and a glance that changes nothing.

use super::*;
use crate::os::calls::{Call as Made, Tally};

const WAYS: [usize; 9] = [1, 24, 100, 1024, 5000, 30_000, 60_000, 100_000, 300_000];

fn live(harness: &Harness, held: &[Held]) -> usize {
    held.iter().map(|one| harness.allocator.usable(one.at).expect("a block")).sum()
}

#[test]
fn what_the_program_has_is_counted_to_the_byte_whoever_frees_it() {
    let harness = Harness::new(Sim::new());
    let allocator = &harness.allocator;
    assert_eq!(allocator.stats().allocated, 0, "before the first heap");
    let heaps = [harness.heap(), harness.heap(), harness.heap()];
    let (mut held, mut seed) = (Vec::<Held>::new(), 7usize);
    let mut cached = 0;
    for round in 0..if cfg!(miri) { 100 } else { 6000 } {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let (pick, heap) = (seed >> 33, heaps[(seed >> 20) % 3]);
        if pick % 64 == 0 {
            // Of a thread that has no heap: by the outboxes.
            if let Some(at) = held.iter().position(|one| one.size <= 1024) {
                // SAFETY: a live block, given up.
                unsafe { allocator.free_checked(Freer::Consumer, held.swap_remove(at).at) };
            }
        } else if pick % 5 < 3 && held.len() < 400 {
            let size = WAYS[pick % if held.len() % 8 == 0 { WAYS.len() } else { 6 }];
            held.extend(harness.hold(heap, size, 16, round as u8));
        } else if !held.is_empty() {
            harness.check_and_free(heap, held.swap_remove(pick % held.len()));
        }
        if round % 16 == 0 {
            let stats = allocator.stats();
            assert_eq!(stats.allocated, live(&harness, &held), "after {round} rounds");
            assert_eq!(
                stats.allocated,
                stats.small_bytes + stats.medium_bytes + stats.span_bytes + stats.large_bytes
            );
            assert!(stats.allocated <= stats.active && stats.active <= stats.mapped);
            assert!(stats.dirty + stats.retained <= stats.mapped && stats.resident <= stats.mapped);
            cached = cached.max(stats.cached);
        }
    }
    assert!(cached > 0, "no thread had anything at hand: the test shows nothing");
    held.drain(..).for_each(|one| harness.check_and_free(heaps[0], one));
    heaps.map(Heap::id).into_iter().for_each(|id| harness.end(id));
    allocator.trim(None);
    let stats = allocator.stats();
    assert_eq!((stats.allocated, stats.active, stats.cached, stats.dirty), (0, 0, 0, 0), "all went back");
}

#[test]
fn to_read_is_a_glance() {
    let harness = Harness::new(Sim::new());
    let (allocator, heap) = (&harness.allocator, harness.heap());
    let other = harness.heap();
    let held: Vec<_> = WAYS.map(|size| harness.hold(heap, size, 16, 1).expect("memory")).into();
    held.into_iter().for_each(|one| harness.check_and_free(other, one));
    let before = allocator.stats();
    let (arena, large) = (&allocator.arena, &allocator.large);
    let locked = || [&arena.locked, &large.locked].map(|locked| locked.load(Ordering::Relaxed));
    let locks = locked();
    let _one_is_at_work = heap.shared.hold_lock();
    assert_eq!(allocator.stats(), before, "no heap's lock is taken, and no call is made");
    assert_eq!(locked(), locks.map(|count| count + 1), "the arena's and the large blocks' lock, once each");
    assert_eq!(allocator.heaps().count(), 2);
}

#[test]
fn classes_and_heaps_are_what_the_sums_are_made_of() {
    let harness = Harness::new(Sim::new());
    let allocator = &harness.allocator;
    let heaps = [harness.heap(), harness.heap()];
    let (takes, frees) = if cfg!(miri) { (120, 48) } else { (504, 200) };
    let mut held: Vec<_> =
        (0..takes).map(|k| harness.hold(heaps[k % 2], WAYS[k % 8], 16, 3).expect("memory")).collect();
    for k in 0..frees {
        harness.check_and_free(heaps[k % 2], held.swap_remove(k * 7 % held.len()));
    }
    let classes: Vec<_> = allocator.classes().collect();
    let stats = allocator.stats();
    assert!(classes.is_sorted_by_key(|class| class.size) && classes.len() == 8);
    let sum = |of: fn(&crate::allocator::stats::ClassStats) -> usize| classes.iter().map(of).sum::<usize>();
    assert_eq!(sum(|class| class.live * class.size), stats.small_bytes + stats.medium_bytes);
    assert_eq!(sum(|class| class.live * class.size), stats.allocated, "there is nothing else");
    assert!(stats.medium_bytes > 0 && stats.medium_at_hand > 0);
    assert_eq!(sum(|class| class.cached * class.size), stats.cached);
    assert_eq!(sum(|class| class.active), stats.slab_bytes + stats.chunk_bytes);
    for class in &classes {
        let blocks = (class.live + class.cached + class.free) * class.size;
        let tail = class.active - blocks;
        assert!(tail < class.active / (1 << 16) * class.size, "{class:?}");
        let is_of = |one: &&Held| harness.allocator.usable(one.at) == Some(class.size);
        assert_eq!(class.live, held.iter().filter(is_of).count());
    }
    let heaps: Vec<_> = allocator.heaps().collect();
    assert_eq!(heaps.iter().map(|heap| heap.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(heaps.iter().map(|heap| heap.slab_bytes).sum::<usize>(), stats.slab_bytes);
    assert_eq!(heaps.iter().map(|heap| heap.cached).sum::<usize>(), stats.cached);
}

#[test]
fn what_waits_in_outboxes_is_cached_and_no_more_with_the_program() {
    const COUNT: usize = if cfg!(miri) { 128 } else { 400 };
    const STEP: usize = if cfg!(miri) { 64 } else { 16 };
    let harness = Harness::new(Sim::new());
    let (allocator, heap) = (&harness.allocator, harness.heap());
    let mut held: Vec<_> =
        (0..COUNT).map(|k| harness.hold(heap, WAYS[k % 8], 16, 5).expect("memory")).collect();
    let mut waited = 0;
    while let Some(one) = held.pop() {
        // A thread that has no heap.
        // SAFETY: a live block, given up.
        unsafe { allocator.free_checked(Freer::Consumer, one.at) };
        if held.len() % STEP == 0 {
            waited = waited.max(allocator.registry.outboxes().map_or(0, |outboxes| outboxes.blocks()));
            let mut sums = [0; 2];
            for class in allocator.classes() {
                sums = [sums[0] + class.live * class.size, sums[1] + class.cached * class.size];
            }
            let stats = allocator.stats();
            assert_eq!(sums, [stats.allocated, stats.cached], "{} are held", held.len());
            assert_eq!(stats.allocated, live(&harness, &held));
        }
    }
    assert!(waited > 16, "{waited} blocks waited: the test shows little");
}

#[test]
fn what_is_being_purged_of_chunks_is_dirty_and_no_more_with_the_program() {
    let harness = Harness::new(Sim::new());
    let (allocator, heap) = (&harness.allocator, harness.heap());
    let mut held: Vec<_> = (0..12).map(|_| harness.hold(heap, 100_000, 16, 5).expect("memory")).collect();
    held.drain(..6).for_each(|one| harness.check_and_free(heap, one));
    harness.give_back(heap);
    let before = allocator.stats();
    allocator.medium.leave_away(&allocator.arena);
    let stats = allocator.stats();
    assert_eq!(
        (stats.allocated, stats.dirty, stats.retained),
        (before.allocated, before.dirty, before.retained)
    );
    let (free, live) =
        allocator.classes().fold((0, 0), |sum, class| (sum.0 + class.free, sum.1 + class.live));
    assert!(live == held.len() && free > 0);
}

#[test]
fn each_call_is_counted_by_its_reason_and_so_are_refusals() {
    let harness = Harness::new(Sim::new());
    let (allocator, heap) = (&harness.allocator, harness.heap());
    let calls = |call, reason| allocator.stats().calls_for(call, reason).calls;
    let small = harness.alloc(heap, 100, 16).expect("memory");
    assert_eq!(calls(Made::Brk, Reason::Grow), 1, "the first slab");
    assert!(calls(Made::Mmap, Reason::Tables) >= 3 && calls(Made::Mmap, Reason::Heaps) == 1);
    let mut blocks: Vec<_> = (0..40).map(|_| harness.alloc(heap, 100_000, 16).expect("memory")).collect();
    let by_chunks = calls(Made::Brk, Reason::Chunk);
    assert!(by_chunks > 0 && calls(Made::Brk, Reason::Span) == 0 && calls(Made::Brk, Reason::Grow) == 1);
    // No chunk's block begins at such an address.
    let spans = if cfg!(miri) { 40 } else { 200 };
    blocks.extend((0..spans).map(|_| harness.alloc(heap, 100_000, 1 << 16).expect("memory")));
    assert!(calls(Made::Brk, Reason::Span) > 0 && calls(Made::Brk, Reason::Chunk) == by_chunks);
    let large = harness.alloc(heap, 1 << 20, 16).expect("memory");
    let large = harness.resize(large, 3 << 20).expect("memory");
    let stats = allocator.stats();
    assert_eq!(stats.calls_for(Made::Mmap, Reason::Large), Tally { calls: 1, bytes: 1 << 20, refused: 0 });
    assert_eq!(
        stats.calls_for(Made::Mremap, Reason::Realloc),
        Tally { calls: 1, bytes: 2 << 20, refused: 0 }
    );
    harness.free(heap, large);
    assert_eq!(calls(Made::Mprotect, Reason::Cache), 1, "it goes into the cache");
    blocks.into_iter().for_each(|block| harness.free(heap, block));
    harness.free(heap, small);
    allocator.trim(Some(heap));
    assert!(calls(Made::Madvise, Reason::Purge) > 0 && calls(Made::Brk, Reason::Trim) > 0);
    assert_eq!(calls(Made::Munmap, Reason::Cache), 1, "and leaves it");
    allocator.arena.os.refuse_everything(true);
    assert!(harness.alloc(heap, 1 << 20, 16).is_none());
    let stats = allocator.stats();
    assert_eq!(stats.calls_for(Made::Mmap, Reason::Large), Tally { calls: 2, bytes: 1 << 20, refused: 1 });
    let spans = stats.calls_for(Made::Brk, Reason::Span);
    assert!(spans.refused > 0 && stats.calls(Made::Brk).refused == spans.refused);
}

#[test]
fn a_writer_that_takes_no_more_ends_the_report() {
    struct Short(usize);
    impl core::fmt::Write for Short {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            self.0 = self.0.checked_sub(text.len()).ok_or(core::fmt::Error)?;
            Ok(())
        }
    }
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    harness.alloc(heap, 100, 16).expect("memory");
    let (stats, classes) = (harness.allocator.stats(), harness.allocator.classes());
    for room in (0..2000).step_by(if cfg!(miri) { 901 } else { 7 }) {
        let long = |mut out: String, write: &dyn Fn(&mut String)| {
            write(&mut out);
            out.len()
        };
        let some = || Some(classes.clone());
        let all = [
            long(String::new(), &|out| stats.write_json(out, some()).unwrap()),
            long(String::new(), &|out| stats.write_openmetrics(out, some()).unwrap()),
            long(String::new(), &|out| stats.write_text(out, some()).unwrap()),
        ];
        let fits = [
            stats.write_json(&mut Short(room), some()).is_ok(),
            stats.write_openmetrics(&mut Short(room), some()).is_ok(),
            stats.write_text(&mut Short(room), some()).is_ok(),
        ];
        assert_eq!(fits, all.map(|len| len <= room));
    }
}
