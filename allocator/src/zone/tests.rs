//! Zones over the simulated system.

use super::list::List;
use super::record::Wrong;
use super::*;
use crate::os::sim::{Call, Sim};
use std::collections::BTreeMap;

/// A zone with its system, which it ends with.
struct Harness {
    os: Sim,
    zone: NonNull<Zone>,
}

impl Harness {
    fn with_limit(limit: usize) -> Harness {
        let os = Sim::new();
        let zone = Zone::make(&os, limit).expect("memory");
        Harness { os, zone }
    }

    fn new() -> Harness {
        Harness::with_limit(usize::MAX)
    }

    fn zone(&self) -> &Zone {
        // SAFETY: there until the end of the harness.
        unsafe { self.zone.as_ref() }
    }

    fn alloc(&self, layout: Layout) -> Option<*mut u8> {
        let Allocated { block, zeroed_from } = self.zone().alloc(&self.os, layout)?;
        assert!(block.addr().is_multiple_of(layout.align()));
        let zeros = layout.size().saturating_sub(zeroed_from);
        let zeros = if cfg!(miri) { zeros.min(4096) } else { zeros };
        if zeros > 0 {
            // SAFETY: the end of a new block, which is said to be zero.
            let end = unsafe { core::slice::from_raw_parts(block.add(layout.size() - zeros), zeros) };
            assert!(end == vec![0; zeros], "said to be zero: {layout:?}");
        }
        Some(block)
    }

    fn put(&self, block: *mut u8, layout: Layout) -> Result<(), Wrong> {
        // SAFETY: the test does not use it any more.
        unsafe { self.zone().put(&self.os, block, Way::of(layout, self.os.page())) }
    }

    fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> Option<*mut u8> {
        // SAFETY: the test's block.
        unsafe { self.zone().realloc(&self.os, block, layout, size) }
    }

    fn figures(&self) -> Figures {
        self.zone().figures().expect("nothing was interrupted")
    }

    /// What is known besides the mappings and records is what follows from them.
    fn check(&self) {
        let mut state = self.zone().state.lock();
        let before = (state.figures(), state.free());
        state.rebuild();
        assert_eq!((state.figures(), state.free()), before);
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        // SAFETY: no test uses a block any more.
        unsafe { Zone::unmake(self.zone, &self.os) };
        assert!(std::thread::panicking() || self.os.mapped_bytes() == 0, "all of it is unmapped");
    }
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout")
}

/// Writes a block's name at its first and last bytes.
fn write(block: *mut u8, size: usize, name: u8) {
    // SAFETY: the test's block of so many bytes.
    unsafe {
        block.write(name);
        block.add(size - 1).write(name);
    }
}

fn read(block: *mut u8, size: usize) -> (u8, u8) {
    // SAFETY: as above.
    unsafe { (block.read(), block.add(size - 1).read()) }
}

const SIZES: [usize; 12] =
    [1, 16, 17, 100, 1024, 1025, 5000, 32 << 10, (32 << 10) + 1, 200_000, (1 << 20) - 1, 3 << 20];

#[test]
fn the_first_segment_is_on_small_pages_and_later_ones_as_the_kernel_has_it() {
    let harness = Harness::new();
    (0..8).for_each(|_| _ = harness.alloc(layout(1_000_000, 16)).expect("memory"));
    assert!(harness.os.mapped_bytes() > 4 << 20 && harness.os.calls(Call::AdviseSmall) == 1);
    let refused = Sim::new();
    refused.refuse(Call::AdviseSmall, 0, 1);
    let zone = Zone::make(&refused, usize::MAX).expect("a zone where the kernel has no huge pages");
    // SAFETY: nobody uses it.
    unsafe { Zone::unmake(zone, &refused) };
}

#[test]
fn blocks_of_all_sizes_and_alignments_are_apart_and_come_back() {
    let harness = Harness::new();
    let mut held = Vec::new();
    for (name, size) in SIZES.into_iter().enumerate() {
        for shift in [0, 4, 6, 12, 16, 21] {
            let layout = layout(size, 1 << shift);
            let block = harness.alloc(layout).expect("memory");
            write(block, size, name as u8);
            held.push((block, layout, name as u8));
        }
    }
    harness.check();
    let mut ranges: Vec<_> = held.iter().map(|(at, layout, _)| (at.addr(), layout.size())).collect();
    ranges.sort();
    assert!(ranges.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0), "two blocks share a byte");
    assert_eq!(harness.figures().blocks, held.len());
    for (block, layout, name) in held {
        assert_eq!(read(block, layout.size()), (name, name));
        assert_eq!(harness.put(block, layout), Ok(()));
    }
    harness.check();
    assert_eq!((harness.figures().blocks, harness.figures().bytes), (0, 0));
}

#[test]
fn a_storm_leaves_what_a_map_of_it_has() {
    let harness = Harness::new();
    let mut held = BTreeMap::new();
    let mut seed = 7u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % below
    };
    let (rounds, sizes) = if cfg!(miri) { (300, &SIZES[..9]) } else { (10_000, &SIZES[..]) };
    for round in 0..rounds {
        let size = sizes[random(sizes.len())] + random(3);
        match random(5) {
            // Shrinks to few now and then, so that slabs, spans and segments go.
            0 | 1 if held.len() < 40 + round % 400 => {
                let layout = layout(size, 1 << random(13));
                let block = harness.alloc(layout).expect("memory");
                write(block, size, round as u8);
                assert!(held.insert(block, (layout, round as u8)).is_none(), "handed out twice");
            }
            2 if !held.is_empty() => {
                let (&block, &(old, name)) = held.iter().nth(random(held.len())).expect("one");
                held.remove(&block);
                let moved = harness.realloc(block, old, size).expect("memory");
                assert_eq!(read(moved, 1).0, name);
                write(moved, size, name);
                let new = layout(size, old.align());
                assert!(moved.addr().is_multiple_of(new.align()));
                assert!(held.insert(moved, (new, name)).is_none(), "handed out twice");
            }
            _ if !held.is_empty() => {
                let (&block, &(layout, name)) = held.iter().nth(random(held.len())).expect("one");
                held.remove(&block);
                assert_eq!(read(block, layout.size()), (name, name));
                assert_eq!(harness.put(block, layout), Ok(()));
            }
            _ => {}
        }
        if round % (rounds / 20) == 0 {
            harness.check();
        }
    }
    assert_eq!(harness.figures().blocks, held.len());
    let bytes = held.values().map(|(layout, _)| Way::of(*layout, 4096).expect("a way").bytes());
    assert_eq!(harness.figures().bytes, bytes.sum::<usize>());
}

#[test]
fn its_end_unmaps_it_with_all_that_is_out() {
    let harness = Harness::new();
    let before = harness.os.calls(Call::Unmap);
    for _ in 0..if cfg!(miri) { 300 } else { 100_000 } {
        harness.alloc(layout(64, 8)).expect("memory");
    }
    harness.alloc(layout(2 << 20, 8)).expect("memory");
    let calls = harness.figures().mapped / SEGMENT + 2;
    let os = &harness.os;
    assert!(os.mapped_bytes() >= harness.figures().mapped);
    let mapping = harness.os.calls(Call::Unmap) - before;
    drop(harness);
    assert!(mapping <= 3 * calls, "{mapping} of {calls}");
}

#[test]
fn a_limit_holds_for_what_is_out() {
    let harness = Harness::with_limit(100_000);
    let small = layout(1000, 8);
    let blocks: Vec<_> = std::iter::from_fn(|| harness.alloc(small)).collect();
    assert_eq!(blocks.len(), 100_000 / 1008);
    assert!(harness.alloc(layout(1 << 30, 8)).is_none() && harness.alloc(layout(40_000, 8)).is_none());
    for &block in &blocks[..50] {
        assert_eq!(harness.put(block, small), Ok(()));
    }
    let span = harness.alloc(layout(40_000, 8)).expect("below the limit");
    assert!(harness.realloc(span, layout(40_000, 8), 60_000).is_none(), "beyond it");
    // A block that moves is counted once.
    let span = harness.realloc(span, layout(40_000, 8), 20_000).expect("less than before");
    let span = harness.realloc(span, layout(20_000, 8), 40_000).expect("as before");
    assert_eq!(harness.put(span, layout(40_000, 8)), Ok(()));
    assert!(harness.alloc(layout(usize::MAX / 4, 8)).is_none());
    harness.check();
}

#[test]
fn what_is_refused_leaves_all_as_it_was() {
    let harness = Harness::new();
    let kept = harness.alloc(layout(5000, 8)).expect("memory");
    write(kept, 5000, 9);
    harness.os.refuse_everything(true);
    assert!(harness.alloc(layout(2 << 20, 8)).is_none());
    let mut filled = Vec::new();
    while let Some(block) = harness.alloc(layout(500_000, 8)) {
        filled.push(block);
    }
    assert_eq!(filled.len(), 7, "what the first segment has room for");
    let before = harness.figures();
    assert!(harness.realloc(kept, layout(5000, 8), 800_000).is_none());
    assert_eq!((harness.figures(), read(kept, 5000)), (before, (9, 9)));
    harness.check();
    harness.os.refuse_everything(false);
    let large = harness.alloc(layout(2 << 20, 8)).expect("memory");
    write(large, 2 << 20, 5);
    harness.os.refuse(Call::Remap, 0, 1);
    assert!(harness.realloc(large, layout(2 << 20, 8), 4 << 20).is_none());
    assert_eq!(read(large, 2 << 20), (5, 5));
    harness.check();
    assert_eq!(harness.put(large, layout(2 << 20, 8)), Ok(()));
    assert!(Zone::make(&harness.os, 0).is_some_and(|zone| {
        // SAFETY: made for this.
        unsafe { Zone::unmake(zone, &harness.os) };
        true
    }));
    harness.os.refuse(Call::Map, 0, 1);
    assert!(Zone::make(&harness.os, 0).is_none());
}

#[test]
fn wrong_blocks_are_seen() {
    let (harness, other) = (Harness::new(), Harness::new());
    for (size, unlike) in [(100, 200), (100_000, 150_000), (100_000, 100), (2 << 20, 3 << 20), (2 << 20, 9)] {
        let (right, wrong) = (layout(size, 8), layout(unlike, 8));
        let block = harness.alloc(right).expect("memory");
        assert_eq!(harness.put(block, wrong), Err(Wrong::Layout), "{size} as {unlike}");
        assert_eq!(harness.put(block.wrapping_add(8), right), Err(Wrong::NoBlock), "{size}");
        assert_eq!(other.put(block, right), Err(Wrong::NoBlock), "{size}");
        assert_eq!(harness.put(block, right), Ok(()));
        let freed = if size < LARGE { Wrong::Freed } else { Wrong::NoBlock };
        assert_eq!(harness.put(block, right), Err(freed), "{size}");
    }
    // Of a slab that stays: freed, and never handed out.
    let pair = [(); 2].map(|()| harness.alloc(layout(100, 8)).expect("memory"));
    assert_eq!(harness.put(pair[0], layout(100, 8)), Ok(()));
    assert_eq!(harness.put(pair[0], layout(100, 8)), Err(Wrong::Freed));
    assert_eq!(harness.put(pair[1].wrapping_add(112), layout(100, 8)), Err(Wrong::NoBlock));
    // The zone itself, null, nobody's.
    let own = harness.zone.as_ptr().cast::<u8>();
    let mut foreign = 0u64;
    for block in [own, core::ptr::null_mut(), (&raw mut foreign).cast()] {
        for size in [8, 100_000, 2 << 20] {
            assert_eq!(harness.put(block, layout(size, 8)), Err(Wrong::NoBlock));
        }
    }
    harness.check();
}

#[test]
fn free_memory_goes_back() {
    let harness = Harness::new();
    let one = layout(20_000, 8);
    let count = if cfg!(miri) { 400 } else { 4000 };
    let blocks: Vec<_> = (0..count).map(|_| harness.alloc(one).expect("memory")).collect();
    let most = harness.figures().mapped;
    for block in blocks {
        assert_eq!(harness.put(block, one), Ok(()));
    }
    let left = harness.figures().mapped;
    assert!(left <= 3 * SEGMENT && left < most, "{left} of {most} bytes are mapped");
    assert!(harness.os.calls(Call::Purge) > 0);
    let dirty = harness.zone().state.lock().dirty() as usize * GRANULE;
    assert!(dirty <= 1 << 20, "{dirty} bytes are dirty");
    harness.check();
}

#[test]
fn a_kernel_that_refuses_to_purge_or_unmap_is_asked_seldom() {
    let harness = Harness::new();
    let one = layout(20_000, 8);
    let blocks: Vec<_> =
        (0..if cfg!(miri) { 300 } else { 2000 }).map(|_| harness.alloc(one).expect("memory")).collect();
    harness.os.refuse(Call::Purge, 0, usize::MAX / 2);
    harness.os.refuse(Call::Unmap, 0, 3);
    let before = harness.os.calls(Call::Purge);
    for block in blocks {
        assert_eq!(harness.put(block, one), Ok(()));
    }
    let asked = harness.os.calls(Call::Purge) - before;
    assert!((1..100).contains(&asked), "{asked}");
    harness.os.forgive();
    harness.check();
}

#[test]
fn spans_grow_and_shrink_where_they_are() {
    let harness = Harness::new();
    let block = harness.alloc(layout(100_000, 8)).expect("memory");
    write(block, 100_000, 3);
    let resize = |from, to| harness.realloc(block, layout(from, 8), to);
    assert_eq!(resize(100_000, 400_000), Some(block));
    assert_eq!(harness.figures().bytes, 401_408);
    assert_eq!(resize(400_000, 70_000), Some(block));
    let behind = harness.alloc(layout(100_000, 8)).expect("memory");
    assert_eq!(behind.addr() - block.addr(), 2 * GRANULE);
    let moved = resize(70_000, 150_000).expect("memory");
    assert!(moved != block && read(moved, 100_000).0 == 3);
    harness.check();
}

#[test]
fn a_large_block_moves_with_its_pages() {
    let harness = Harness::new();
    let mut block = harness.alloc(layout(2 << 20, 8)).expect("memory");
    write(block, 2 << 20, 3);
    block = harness.realloc(block, layout(2 << 20, 8), 6 << 20).expect("memory");
    assert_eq!((read(block, 2 << 20), harness.os.calls(Call::Remap)), ((3, 3), 1));
    // One that is aligned to more than a page is copied.
    let aligned = harness.alloc(layout(2 << 20, 2 << 20)).expect("memory");
    let moved = harness.realloc(aligned, layout(2 << 20, 2 << 20), 3 << 20).expect("memory");
    assert!(moved.addr().is_multiple_of(2 << 20) && harness.os.calls(Call::Remap) == 1);
    harness.check();
}

#[test]
fn a_handler_that_interrupted_it_gets_nothing_and_waits_for_nothing() {
    let harness = Harness::new();
    let block = harness.alloc(layout(64, 8)).expect("memory");
    let held = harness.zone().state.lock();
    assert!(harness.alloc(layout(64, 8)).is_none());
    assert!(harness.realloc(block, layout(64, 8), 100).is_none());
    assert_eq!(harness.put(block, layout(64, 8)), Ok(()));
    assert!(harness.zone().figures().is_none());
    drop(held);
    assert_eq!(harness.figures().blocks, 1, "it stays");
}

#[test]
fn a_forks_child_has_every_zone_of_the_list() {
    let zones: Vec<_> = (0..3).map(|_| Harness::new()).collect();
    let list = List::new();
    let blocks: Vec<_> = zones
        .iter()
        .map(|harness| {
            // SAFETY: it is taken out below.
            unsafe { list.add(harness.zone) };
            [64, 100_000, 2 << 20].map(|size| (harness.alloc(layout(size, 8)).expect("memory"), size))
        })
        .collect();
    let before: Vec<_> = zones.iter().map(Harness::figures).collect();
    // As a fork finds them in whose parent other threads were in the middle of something.
    let torn = [zones[0].zone(), zones[2].zone()];
    std::thread::scope(|scope| {
        let elsewhere = scope.spawn(|| {
            for zone in torn {
                let mut state = zone.state.lock();
                state.tear();
                core::mem::forget(state);
            }
            core::mem::forget(list.hold_lock());
        });
        elsewhere.join().expect("the thread");
    });
    // SAFETY: nobody else is there.
    unsafe { list.repair_after_fork() };
    for ((harness, before), blocks) in zones.iter().zip(before).zip(blocks) {
        assert_eq!(harness.figures(), before);
        for (block, size) in blocks {
            assert_eq!(harness.put(block, layout(size, 8)), Ok(()));
        }
        harness.check();
    }
    // From the middle, the end and the start.
    for at in [1, 0, 2] {
        // SAFETY: it is in the list.
        unsafe { list.remove(zones[at].zone) };
    }
    assert!(list.is_empty());
}
