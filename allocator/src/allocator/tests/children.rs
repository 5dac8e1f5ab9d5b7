//! The child of a fork, whose one thread may have been in the middle of something itself, and whose others
//! are gone from the middle of something else.

use super::*;
use crate::base::config::WARM_HEAPS;
use core::sync::atomic::AtomicBool;

/// Blocks of all kinds, of a heap.
fn some(harness: &Harness, heap: &Heap) -> Vec<Held> {
    SIZES.iter().map(|&size| harness.hold(heap, size, 16, size as u8).expect("memory")).collect()
}

fn works(harness: &Harness, heap: &Heap, inherited: Vec<Held>) {
    let more = some(harness, heap);
    for one in inherited.into_iter().chain(more) {
        harness.check_and_free(heap, one);
    }
}

#[test]
fn what_its_own_thread_is_changing_is_left_alone() {
    let harness = Harness::new(Sim::new());
    let (mine, theirs) = (harness.heap(), harness.heap());
    let inherited: Vec<_> = [mine, theirs].iter().flat_map(|heap| some(&harness, heap)).collect();
    let allocator = &harness.allocator;
    let figures = |heap: &Heap| heap.slab_figures(&allocator.arena);
    let before = (figures(mine), figures(theirs));
    harness.elsewhere(|allocator| {
        allocator.registry.for_each(|heap| {
            if heap.id() == theirs.id() {
                core::mem::forget(heap.shared.hold_lock());
            }
        });
    });
    // As a signal handler finds it that interrupted a refill at its deepest.
    let (heap, arena) = (mine.shared.hold_lock(), allocator.arena.hold_lock());
    let me = allocator.registry.owner(mine);
    assert!(allocator.is_mine(me));
    harness.repair(mine);
    assert!(allocator.is_mine(me), "its locks are closed");
    drop((arena, heap));
    assert!(!allocator.is_mine(me));
    assert_eq!(figures(mine), before.0);
    assert!(figures(theirs).1 > before.1.1, "all that was free in the other heap counts as used");
    works(&harness, mine, inherited);
    assert_eq!(harness.heap().id(), theirs.id(), "the other thread's heap is there to adopt");
}

#[test]
fn the_table_of_large_blocks_is_left_alone_by_its_own_thread_only() {
    for own in [true, false] {
        let harness = Harness::new(Sim::new());
        let heap = harness.heap();
        let cached = harness.hold(heap, 1 << 20, 16, 1).unwrap();
        let inherited = some(&harness, heap);
        harness.check_and_free(heap, cached);
        let large = &harness.allocator.large;
        let before = large.figures();
        if own {
            let held = large.hold_lock();
            harness.repair(heap);
            drop(held);
            assert_eq!(large.figures(), before, "nothing was half done");
        } else {
            harness.elsewhere(|allocator| core::mem::forget(allocator.large.hold_lock()));
            harness.repair(heap);
            assert_eq!((large.figures().live_bytes, large.figures().cached), (before.live_bytes, 0));
        }
        works(&harness, heap, inherited);
    }
}

#[test]
fn a_heap_is_its_owners_at_every_step_between_two_threads() {
    let harness = Harness::new(Sim::new());
    let (mine, ending) = (harness.heap(), harness.heap());
    let registry = &harness.allocator.registry;
    // Between the thread's word and the seat, on the way out; and one that was taken, on the way in.
    registry.begin_parking(ending);
    harness.repair(mine);
    let adopted = harness.heap();
    assert_eq!(adopted.id(), ending.id());
    registry.begin_parking(adopted);
    harness.repair(adopted);
    let others = [harness.heap().id(), harness.heap().id()];
    assert!(!others.contains(&adopted.id()), "it is still on the way, and goes on");
}

#[test]
fn of_several_threads_of_a_child_none_loses_its_heap() {
    let harness = Harness::new(Sim::new());
    let (first, other) = (harness.heap(), harness.heap());
    let inherited: Vec<_> = [first, other].iter().flat_map(|heap| some(&harness, heap)).collect();
    harness.elsewhere(Allocator::leak_every_lock);
    // SAFETY: one thread, as far as this is concerned; others' guards were forgotten.
    unsafe { harness.allocator.repair_after_fork(harness.allocator.registry.owner(other), Threads::Several) };
    let third = harness.heap();
    assert!(third.id() != first.id() && third.id() != other.id());
    works(&harness, other, inherited);
}

#[test]
fn below_a_handler_a_request_is_served_without_the_locks_that_its_thread_holds() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    some(&harness, heap);
    let allocator = &harness.allocator;
    let serves = |size| {
        let got = allocator.alloc_barred(size, 16).expect("memory");
        // SAFETY: a fresh block of this size.
        unsafe { got.block.write_bytes(1, size) };
        got.block
    };
    let blocks = {
        let _held = (heap.shared.hold_lock(), allocator.arena.hold_lock());
        [serves(100), serves(1 << 20)]
    };
    let more = {
        let _held = allocator.large.hold_lock();
        [serves(100), serves(70_000)]
    };
    blocks.into_iter().chain(more).for_each(|block| harness.free(heap, block));
}

#[test]
fn a_heap_that_a_fork_cut_off_in_the_making_is_made_in_the_child() {
    let harness = Harness::new(Sim::new());
    let mine = harness.heap();
    // Several are mapped at a time.
    let shut = || {
        let shut = AtomicBool::new(false);
        harness.elsewhere(|allocator| shut.store(allocator.registry.shut_next_door(), Ordering::Relaxed));
        shut.into_inner()
    };
    while !shut() {
        harness.heap();
    }
    harness.repair(mine);
    let next = harness.heap();
    some(&harness, next);
}

#[test]
fn parked_heaps_are_not_written_to() {
    let harness = Harness::new(Sim::new());
    let mine = harness.heap();
    let heaps: Vec<_> = (0..WARM_HEAPS + 4).map(|_| harness.heap().id()).collect();
    heaps.iter().for_each(|&heap| harness.end(heap));
    let purges = harness.allocator.arena.os.calls(Call::Purge);
    let blank = harness.allocator.registry.blank_heaps();
    assert!(blank > 0, "the test shows nothing");
    harness.repair(mine);
    assert_eq!(harness.allocator.registry.blank_heaps(), blank);
    assert_eq!(harness.allocator.arena.os.calls(Call::Purge), purges);
    let mut adopted: Vec<_> = heaps.iter().map(|_| harness.heap().id().0).collect();
    adopted.sort();
    assert_eq!(adopted, heaps.iter().map(|heap| heap.0).collect::<Vec<_>>(), "each is there once");
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn what_is_freed_first_in_a_child_moves_no_magazine_of_another_class() {
    const SIZE: usize = 1024;
    let count = 40 * (GRANULE / SIZE);
    for (forked, rounds) in [(false, 1), (true, 1), (true, 3)] {
        let harness = Harness::new(Sim::new());
        let heap = harness.heap();
        // The thread may be in the middle of a request for this class: its magazine is to stay as it is.
        let class = size_class::of(100);
        let at_hand = harness.alloc(heap, 100, 16).expect("memory");
        harness.free(heap, at_hand);
        for round in 0..rounds {
            // All but a block in each slab goes, and the heap is mostly free.
            let held = (0..count).map(|_| harness.alloc(heap, SIZE, 16).expect("memory"));
            let freed: Vec<_> = held.filter(|block| block.addr() % GRANULE != 0).collect();
            let (before, after) = freed.split_at(count * 2 / 3);
            before.iter().for_each(|&block| harness.free(heap, block));
            if forked && round == 0 {
                harness.repair(heap);
            }
            after.iter().for_each(|&block| harness.free(heap, block));
        }
        assert_eq!(heap.has_at_hand(class, at_hand), forked && rounds == 1, "{forked} {rounds}");
    }
}
