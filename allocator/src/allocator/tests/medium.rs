//! Medium blocks: from chunks and back, at hand, over a fork.

use super::*;
use crate::arena::page_map::Entry;
use crate::base::builder::Config;
use crate::base::config::{DIRTY_FLOOR, GRANULE, MEDIUM_AT_HAND_LEAST, MEDIUM_AT_HAND_MOST};
use crate::base::units::{Bytes, Granules, HeapId};
use crate::medium::{MediumClass, Side, Spot};

const KIB: usize = 1 << 10;
/// One of each class, and some between.
const SIZES: [usize; 8] = [32 * KIB + 1, 33_000, 40_000, 48 * KIB, 66_000, 90_000, 112 * KIB, 128 * KIB - 1];

fn many() -> usize {
    if cfg!(miri) { 3 } else { 300 }
}

fn hold_all(harness: &Harness, heap: &Heap, count: usize) -> Vec<Held> {
    let sizes = SIZES.iter().cycle().take(count).enumerate();
    sizes.map(|(k, &size)| harness.hold(heap, size, 16, k as u8).expect("memory")).collect()
}

#[test]
fn blocks_of_every_size_keep_their_bytes_and_all_goes_back() {
    let harness = Harness::new(Sim::new());
    let (one, other) = (harness.heap(), harness.heap());
    let held = hold_all(&harness, one, many());
    assert!(held.iter().all(|held| held.at.addr().is_multiple_of(4096)));
    // What one thread allocates another frees.
    for (k, held) in held.into_iter().enumerate() {
        harness.check_and_free(if k % 2 == 0 { one } else { other }, held);
    }
    harness.give_back(other);
    harness.allocator.trim(Some(one));
    let (arena, medium) = (harness.allocator.arena.figures().unwrap(), harness.allocator.medium.figures());
    assert_eq!((arena.in_use.0, arena.dirty.0), (0, 0));
    assert_eq!((medium.chunk_bytes.0, medium.used_bytes.0, medium.dirty_bytes.0), (0, 0, 0));
}

#[test]
fn a_freed_block_is_the_next_one_of_its_class() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let first = harness.alloc(heap, 40_000, 16).unwrap();
    let second = harness.alloc(heap, 90_000, 16).unwrap();
    harness.free(heap, first);
    harness.free(heap, second);
    assert_eq!(harness.alloc(heap, 38_000, 4096), Some(first));
    assert_eq!(harness.alloc(heap, 88_000, 16), Some(second));
}

/// A block of 64 KiB for a side, from its chunk: four fill one.
fn take(harness: &Harness, side: Side) -> *mut u8 {
    let (arena, class) = (&harness.allocator.arena, MediumClass::of(64 * KIB).expect("a medium block"));
    harness.allocator.medium.alloc(arena, class, side, 0, |_| {}).expect("memory").block
}

fn spot(harness: &Harness, block: *mut u8) -> Spot {
    let (granule, entry) = harness.allocator.entry_of(block).expect("of the arena");
    harness.allocator.medium_at(granule, entry.in_chunk().expect("of a chunk"), block).expect("a block").0
}

/// Puts blocks back into their chunks.
fn put(harness: &Harness, blocks: &[*mut u8]) {
    let spots = blocks.iter().map(|&block| spot(harness, block));
    harness.allocator.medium.free(&harness.allocator.arena, spots);
}

#[test]
fn sides_have_chunks_apart_and_help_each_other_out() {
    let harness = Harness::new(Sim::new());
    let [one, other] = [1, 2].map(|heap| Side::of(HeapId(heap)));
    let chunks = || harness.allocator.medium.figures().chunk_bytes.0 / (4 * 64 * KIB);
    let take_from = |side| spot(&harness, take(&harness, side)).head;

    let [mine, others] = [one, other].map(|side| [(); 4].map(|()| take(&harness, side)));
    let [first, second] = [mine, others].map(|blocks| spot(&harness, blocks[0]).head);
    assert!(first < second && chunks() == 2, "{first:?} {second:?}");
    put(&harness, &mine[1..]);
    put(&harness, &others[1..]);
    // In turn each has its own, and then the one what is left of the other's, rather than clean memory.
    let turns = [one, other, one, other, one].map(take_from);
    assert_eq!(turns, [first, second, first, second, first]);
    assert_eq!((take_from(one), chunks()), (second, 2));
    // A third chunk has clean blocks. A dirty one of any side goes before.
    let third = take_from(one);
    put(&harness, &mine[..1]);
    assert_eq!((take(&harness, other), chunks()), (mine[0], 3));
    assert_eq!(take_from(other), third);
}

#[test]
fn an_empty_chunk_goes_over_to_the_side_that_takes_of_it() {
    let harness = Harness::new(Sim::new());
    let [one, other] = [1, 2].map(|heap| Side::of(HeapId(heap)));
    let four = |side| [(); 4].map(|()| take(&harness, side));
    let first = four(one);
    put(&harness, &first);
    assert_eq!(four(other), first, "it was kept");
    let second = four(one);
    put(&harness, &[first[0], second[0]]);
    assert_eq!([other, one].map(|side| take(&harness, side)), [first[0], second[0]]);
}

#[test]
fn a_thread_has_little_at_hand_and_what_is_free_keeps_to_its_bound() {
    let harness = Harness::new(Sim::new());
    harness.allocator.arena.settings.take_code(&Config::new().swing(0));
    let heap = harness.heap();
    let held = hold_all(&harness, heap, if cfg!(miri) { 12 } else { 400 });
    held.into_iter().for_each(|one| harness.free(heap, one.at));
    let (arena, medium) = (harness.allocator.arena.figures().unwrap(), harness.allocator.medium.figures());
    assert!(medium.used_bytes.0 <= MEDIUM_AT_HAND_MOST, "{medium:?}");
    // What is at hand counts as dirty.
    let free = || {
        let (arena, medium) =
            (harness.allocator.arena.figures().unwrap(), harness.allocator.medium.figures());
        arena.dirty.0 + medium.dirty_bytes.0 + medium.used_bytes.0
    };
    assert!(free() <= DIRTY_FLOOR, "{arena:?} {medium:?}");
    // Of many threads each may have less, from its next block on that it does not have at hand.
    let others: Vec<_> = (0..if cfg!(miri) { 2 } else { 12 }).map(|_| harness.heap()).collect();
    let most = DIRTY_FLOOR / 2 + (others.len() + 1) * MEDIUM_AT_HAND_LEAST;
    for _ in 0..3 {
        for other in others.iter().chain([&heap]) {
            let held = hold_all(&harness, other, if cfg!(miri) { 8 } else { 60 });
            held.into_iter().for_each(|one| harness.free(other, one.at));
        }
        let threads = harness.allocator.medium.figures().used_bytes.0;
        assert!(threads <= most && free() <= DIRTY_FLOOR / 2 + most, "{threads} at hand, {} free", free());
    }
    others.iter().for_each(|other| harness.end(other.id()));
    let allowed = harness.allocator.arena.budget.allowance.bytes();
    assert_eq!(allowed, DIRTY_FLOOR / 2 / (others.len() + 1));
    harness.allocator.trim(Some(heap));
    assert_eq!(harness.allocator.medium.figures().chunk_bytes.0, 0, "no block is lost");
}

#[test]
fn what_is_free_between_blocks_is_purged_beyond_the_bound() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let held = hold_all(&harness, heap, if cfg!(miri) { 120 } else { 400 });
    // Every second block stays: no chunk becomes free.
    let (stay, go): (Vec<_>, Vec<_>) = held.into_iter().enumerate().partition(|(k, _)| k % 2 == 0);
    for (_, one) in go {
        harness.free(heap, one.at);
        let arena = &harness.allocator.arena;
        assert!(!arena.budget.is_pressed() || arena.is_exceeded(), "the next free looks for nothing");
    }
    let (arena, medium) = (harness.allocator.arena.figures().unwrap(), harness.allocator.medium.figures());
    let bound = DIRTY_FLOOR.max(arena.in_use.0 / 8);
    assert!(arena.dirty.0 + medium.dirty_bytes.0 <= bound, "{arena:?} {medium:?}");
    harness.allocator.trim(Some(heap));
    assert_eq!(harness.allocator.medium.figures().dirty_bytes.0, 0);
    // What was purged reads as zero, and serves again.
    let again = harness.allocator.alloc_big(Some(heap), 112 * KIB, 16).unwrap();
    assert_eq!(again.zeroed_from, 0);
    // SAFETY: a new block of so many bytes.
    assert!((0..112 * KIB).step_by(509).all(|at| unsafe { again.block.add(at).read() } == 0));
    harness.free(heap, again.block);
    stay.into_iter().for_each(|(_, one)| harness.check_and_free(heap, one));
}

/// As in `idle`: by time, for a thread that gives back.
#[test]
fn what_lies_unused_in_chunks_for_a_period_goes() {
    let harness = Harness::new(Sim::new());
    let (heap, allocator) = (harness.heap(), &harness.allocator);
    let held = hold_all(&harness, heap, 16);
    let (stay, go): (Vec<_>, Vec<_>) = held.into_iter().enumerate().partition(|(k, _)| k % 8 == 0);
    go.into_iter().for_each(|(_, one)| harness.free(heap, one.at));
    harness.give_back(heap);
    allocator.purge_idle();
    let all = allocator.medium.figures().dirty_bytes.0;
    assert!(all > 0 && allocator.is_dirty(), "it came in this period");
    allocator.purge_idle();
    assert_eq!(allocator.medium.figures().dirty_bytes.0, 0);
    stay.into_iter().for_each(|(_, one)| harness.check_and_free(heap, one));
}

#[test]
fn fresh_blocks_are_known_to_be_zero_and_used_ones_are_not() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    for _ in 0..3 {
        // The first, those that came along, and one of another call.
        assert_eq!(harness.allocator.alloc_big(Some(heap), 40_000, 16).unwrap().zeroed_from, 0);
    }
    let held = harness.hold(heap, 40_000, 16, 7).unwrap();
    harness.free(heap, held.at);
    assert_eq!(harness.allocator.alloc_big(Some(heap), 40_000, 16).unwrap().zeroed_from, usize::MAX);
}

#[test]
fn a_block_stays_while_half_of_it_is_used_and_no_longer_one_moves() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let held = harness.hold(heap, 112 * KIB, 16, 7).unwrap();
    assert_eq!(harness.allocator.usable(held.at), Some(112 * KIB));
    assert_eq!(harness.resize(held.at, 56 * KIB), Some(held.at));
    assert_eq!(harness.allocator.may_have_size(held.at, 56 * KIB, 16), Some(true));
    for other in [56 * KIB - 1, 112 * KIB + 1, 30 * KIB, 200 * KIB] {
        assert_eq!(harness.resize(held.at, other), None, "{other}");
    }
    harness.check_and_free(heap, held);
}

#[test]
fn a_class_above_serves_before_a_chunk_is_made() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let longer = harness.alloc(heap, 44 * KIB, 16).unwrap();
    harness.allocator.trim(Some(heap));
    let before = harness.allocator.medium.figures().chunk_bytes;
    let block = harness.alloc(heap, 36 * KIB, 16).unwrap();
    assert_eq!(harness.allocator.medium.figures().chunk_bytes, before);
    assert_eq!(harness.allocator.usable(block), Some(44 * KIB));
    assert_eq!(harness.allocator.may_have_size(block, 36 * KIB, 16), Some(true));
    let shorter = MediumClass::of(32 * KIB + 1).unwrap();
    assert!(!shorter.may_be(MediumClass::of(48 * KIB).unwrap()));
    [longer, block].into_iter().for_each(|block| harness.free(heap, block));
}

#[test]
fn where_no_chunk_can_be_made_a_span_serves() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let small = harness.alloc(heap, 100, 16).unwrap();
    let arena = &harness.allocator.arena;
    // Free granules of the first growth, and all of the second: for two chunks of seven and a span.
    let run = arena.alloc_run(Granules(12), Granules(1), Entry::span(Granules(12))).expect("memory");
    arena.free_run(run, Bytes(0));
    assert_eq!(arena.figures().unwrap().free.0, 15 * GRANULE);
    for call in [Call::GrowBreak, Call::Map, Call::MapNear] {
        arena.os.refuse(call, 0, usize::MAX / 2);
    }
    let mut held = Vec::new();
    while let Some(one) = harness.hold(heap, 44 * KIB, 16, 3) {
        held.push(one);
    }
    assert_eq!((held.len(), harness.allocator.arena.figures().unwrap().free.0), (2 * 10 + 1, 0));
    harness.free(heap, small);
    held.into_iter().for_each(|one| harness.check_and_free(heap, one));
}

/// The child of a fork that caught another thread inside: what is live stays so, what is free is free.
#[test]
fn a_child_makes_the_chunks_anew_from_the_labels() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let held = hold_all(&harness, heap, many());
    let (stay, go): (Vec<_>, Vec<_>) = held.into_iter().enumerate().partition(|(k, _)| k % 3 == 0);
    go.into_iter().for_each(|(_, one)| harness.free(heap, one.at));
    let before = harness.allocator.medium.figures();
    harness.elsewhere(|allocator| core::mem::forget(allocator.medium.hold_lock()));
    harness.repair(heap);
    let after = harness.allocator.medium.figures();
    assert_eq!((after.chunk_bytes, after.used_bytes), (before.chunk_bytes, before.used_bytes));
    let more = hold_all(&harness, heap, many());
    stay.into_iter().for_each(|(_, one)| harness.check_and_free(heap, one));
    more.into_iter().for_each(|one| harness.check_and_free(heap, one));
    harness.allocator.trim(Some(heap));
    assert_eq!(harness.allocator.arena.figures().unwrap().in_use.0, 0);
}

#[test]
fn a_child_takes_back_what_another_thread_was_purging() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let held = hold_all(&harness, heap, 16);
    let (stay, go): (Vec<_>, Vec<_>) = held.into_iter().enumerate().partition(|(k, _)| k % 2 == 0);
    go.into_iter().for_each(|(_, one)| harness.free(heap, one.at));
    harness.give_back(heap);
    harness.elsewhere(|allocator| allocator.medium.leave_away(&allocator.arena));
    // The same thread's own stays away: its batch comes back.
    harness.repair(heap);
    let more = hold_all(&harness, heap, 16);
    more.into_iter().for_each(|one| harness.check_and_free(heap, one));
    stay.into_iter().for_each(|(_, one)| harness.check_and_free(heap, one));
    harness.allocator.trim(Some(heap));
    assert_eq!(harness.allocator.arena.figures().unwrap().in_use.0, 0);
}

/// Of the child of a fork only the calling thread's, and what heaps have whose threads are gone.
#[test]
fn a_child_counts_anew_what_threads_may_have_at_hand() {
    let harness = Harness::new(Sim::new());
    let (mine, other) = (harness.heap(), harness.heap());
    for heap in [mine, other] {
        let held = hold_all(&harness, heap, 8);
        held.into_iter().for_each(|one| harness.free(heap, one.at));
    }
    let allowance = &harness.allocator.arena.budget.allowance;
    let before = allowance.bytes();
    assert!(before > MEDIUM_AT_HAND_MOST);
    // As if the fork had come between its two counts.
    allowance.change(0, 1 << 20);
    harness.repair(mine);
    assert_eq!(allowance.bytes(), before);
    [mine, other].into_iter().for_each(|heap| harness.give_back(heap));
    assert_eq!(allowance.bytes(), 0);
}

#[test]
fn threads_without_a_heap_are_served_and_what_an_ended_one_had_goes_back() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let block = harness.allocator.alloc_big(None, 50_000, 16).unwrap().block;
    // SAFETY: this test's block, freed once.
    unsafe { harness.allocator.free_checked(Freer::Visitor, block) };
    let held = hold_all(&harness, heap, 6);
    held.into_iter().for_each(|one| harness.free(heap, one.at));
    assert!(harness.allocator.medium.figures().used_bytes.0 > 0);
    harness.end(heap.id());
    assert_eq!(harness.allocator.medium.figures().used_bytes.0, 0);
}
