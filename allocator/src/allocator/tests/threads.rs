//! How many heaps threads need, and what is left of them.

use super::*;
use crate::base::config::{HEAP_LIMIT, WARM_HEAPS};

#[test]
fn a_thread_that_only_frees_finds_a_heap_or_shares_what_there_is() {
    let harness = Harness::new(Sim::new());
    let allocator = &harness.allocator;
    harness.heap();
    let to_free = |token| allocator.registry.claim_to_free(&allocator.arena, token);
    let heaps = [1000, 1002, 1004].map(to_free);
    let ids = heaps.map(|heap| heap.map(Heap::id));
    assert!(ids[0].is_some() && ids[1].is_some() && ids[0] != ids[1] && ids[2].is_none());
    // One that ends leaves its heap to the next, one that begins to allocate leaves its place.
    harness.end(ids[0].expect("the first"));
    assert_eq!(to_free(1004).map(Heap::id), ids[0]);
    assert!(to_free(1006).is_none());
    harness.alloc(heaps[1].expect("the second"), 100, 16);
    assert!(to_free(1006).is_some());
    assert_eq!(allocator.registry.count(), 4);
}

#[test]
fn a_heap_that_a_thread_left_without_an_exit_is_its_successors() {
    let harness = Harness::new(Sim::new());
    let (allocator, heap) = (&harness.allocator, harness.heap());
    let held = harness.hold(heap, 64, 16, 5).unwrap();
    let token = allocator.registry.owner(heap);
    let again = allocator.registry.claim(&allocator.arena, token).expect("its heap");
    assert_eq!((again.id(), allocator.registry.count()), (heap.id(), 1));
    harness.check_and_free(again, held);
}

#[test]
fn before_one_more_heap_is_made_those_of_ended_threads_serve() {
    let harness = Harness::new(Sim::new());
    let os = &harness.allocator.arena.os;
    let heaps: Vec<_> = (0..5).map(|_| harness.heap()).collect();
    let held = harness.hold(heaps[3], 64, 16, 5).unwrap();
    let number = |heap: &Heap| harness.allocator.registry.owner(heap) as u64;
    os.end_thread(number(heaps[3]));
    os.end_thread(number(heaps[1]));
    let adopted = [harness.heap().id(), harness.heap().id()];
    assert_eq!(adopted, [heaps[1].id(), heaps[3].id()]);
    harness.check_and_free(heaps[3], held);
    assert_eq!(harness.heap().id().0, 6, "the others' threads are there");
}

#[test]
#[cfg_attr(miri, ignore = "each heap takes seconds")]
fn of_many_heaps_the_threads_are_asked_for_now_and_then() {
    let mut os = Sim::new();
    // Room for so many heaps.
    os.limit = usize::MAX;
    let harness = Harness::new(os);
    let os = &harness.allocator.arena.os;
    let count = 300;
    let heaps: Vec<_> = (0..count).map(|_| harness.heap()).collect();
    let asked = os.asked();
    assert!(asked < 64 * 64 / 2 + 18 * count, "{asked} times of {count} threads");
    heaps.iter().for_each(|heap| os.end_thread(harness.allocator.registry.owner(heap) as u64));
    for _ in 0..count {
        harness.heap();
    }
    let made = harness.allocator.registry.count() as usize;
    assert!(made <= count + count / 16 + 1, "{made} heaps for {count} threads at once");
}

#[test]
#[cfg_attr(miri, ignore = "all the heaps there can be take minutes")]
fn beyond_the_last_heap_there_is_none() {
    let mut os = Sim::new();
    os.limit = usize::MAX;
    let harness = Harness::new(os);
    let heaps: Vec<_> = (0..HEAP_LIMIT).map(|_| harness.heap()).collect();
    assert!(harness.claim().is_none());
    // One that ends leaves its heap to the next.
    harness.end(heaps[3].id());
    assert_eq!(harness.heap().id(), heaps[3].id());
    assert!(harness.claim().is_none());
}

#[test]
fn what_threads_without_a_heap_free_waits_for_more_and_goes_home_at_a_trim() {
    let harness = Harness::new(Sim::new());
    let (allocator, owner) = (&harness.allocator, harness.heap());
    let sizes = [16, 64, 64, 700, 3000, 5000, 20_000];
    let count = if cfg!(miri) { 40 } else { 400 };
    for (freer, waits) in [(Freer::Visitor, false), (Freer::Consumer, true)] {
        let held: Vec<_> = (0..count)
            .map(|k| harness.hold(owner, sizes[k % sizes.len()], 16, k as u8).expect("memory"))
            .collect();
        // As much as keeps the heap from being sparse, so that none of it hurries.
        for one in held {
            // SAFETY: got above, freed once.
            unsafe { allocator.free_slow(freer, one.at) };
        }
        let waiting = || allocator.registry.outboxes().map_or(0, |outboxes| outboxes.blocks());
        assert_eq!(waiting() > 0, waits);
        owner.give_back(&allocator.arena, &allocator.registry, &allocator.medium);
        allocator.trim(Some(owner));
        assert_eq!(waiting(), 0);
        assert_eq!(allocator.arena.figures().unwrap().in_use.0, 0);
    }
}

#[test]
fn what_threads_without_a_heap_free_goes_home_at_once_where_no_outbox_can_be_made() {
    let harness = Harness::new(Sim::new());
    let (allocator, owner) = (&harness.allocator, harness.heap());
    let held: Vec<_> = (0..40).map(|k| harness.hold(owner, 64, 16, k).expect("memory")).collect();
    allocator.arena.os.refuse_everything(true);
    for one in held {
        // SAFETY: got above, freed once.
        unsafe { allocator.free_slow(Freer::Consumer, one.at) };
    }
    assert!(allocator.registry.outboxes().is_none());
    allocator.arena.os.refuse_everything(false);
    owner.give_back(&allocator.arena, &allocator.registry, &allocator.medium);
    allocator.trim(Some(owner));
    assert_eq!(allocator.arena.figures().unwrap().in_use.0, 0);
}

#[test]
fn of_parked_heaps_a_few_keep_their_pages_and_those_with_blocks_their_slabs() {
    let mut os = Sim::new();
    // Room for so many heaps.
    os.limit = usize::MAX;
    let harness = Harness::new(os);
    let count = WARM_HEAPS * 3;
    let heaps: Vec<_> = (0..count).map(|_| harness.heap()).collect();
    // Every third has a block that is out.
    let held: Vec<_> = heaps.iter().step_by(3).map(|heap| harness.hold(heap, 64, 16, 7).unwrap()).collect();
    heaps.iter().for_each(|heap| harness.end(heap.id()));
    let blank = harness.allocator.registry.blank_heaps() as usize;
    assert!((count / 3..=count - WARM_HEAPS).contains(&blank), "{blank} of {count}");
    let heap = harness.heap();
    held.into_iter().for_each(|one| harness.check_and_free(heap, one));
    harness.allocator.trim(Some(heap));
    assert_eq!(harness.allocator.arena.figures().unwrap().in_use.0, 0);
    // All of them serve again.
    for _ in 1..count {
        let heap = harness.heap();
        let held = harness.hold(heap, 64, 16, 9).unwrap();
        harness.check_and_free(heap, held);
    }
    assert_eq!(harness.allocator.registry.count() as usize, count);
}

#[test]
fn where_the_kernel_refuses_a_parked_heap_stays_as_it_is() {
    let harness = Harness::new(Sim::new());
    let heaps: Vec<_> = (0..WARM_HEAPS + 4).map(|_| harness.heap()).collect();
    harness.allocator.arena.os.refuse(Call::Purge, 0, 1000);
    heaps.iter().for_each(|heap| harness.end(heap.id()));
    assert_eq!(harness.allocator.registry.blank_heaps(), 0);
    for _ in &heaps {
        let heap = harness.heap();
        let held = harness.hold(heap, 64, 16, 9).unwrap();
        harness.check_and_free(heap, held);
    }
    assert_eq!(harness.allocator.registry.count() as usize, heaps.len());
}
