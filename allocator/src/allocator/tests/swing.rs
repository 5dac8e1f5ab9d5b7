//! Memory that swings: what is taken again and again may stay, up to a most, and goes when that is over.

use super::*;
use crate::base::builder::Config;
use crate::base::config::{DIRTY_FLOOR, FEW_REOPENED, REOPENED_MOST};

const MIB: usize = 1 << 20;

/// A harness whose bounds are small enough for every test: 1 MiB without a swing, and 8 by one.
fn harness() -> Harness {
    let harness = Harness::new(Sim::new());
    let config = Config::new().dirty_floor(MIB).dirty_share(0).swing(8 * MIB);
    harness.allocator.arena.settings.take_code(&config);
    harness
}

/// Blocks of each kind that has pages of its own: spans, blocks of chunks, mappings.
const KINDS: [(usize, usize); 3] = [(100_000, SPAN_ALIGN), (75_000, 16), (MIB / 2, 16)];

fn take(harness: &Harness, heap: &Heap, (size, align): (usize, usize), bytes: usize) -> Vec<*mut u8> {
    (0..bytes / size).map(|_| harness.alloc(heap, size, align).expect("memory")).collect()
}

fn free(harness: &Harness, heap: &Heap, blocks: Vec<*mut u8>) {
    blocks.into_iter().for_each(|block| harness.free(heap, block));
}

fn dirty(harness: &Harness) -> usize {
    let arena = harness.allocator.arena.figures().map_or(0, |arena| arena.dirty.0);
    let (medium, large) = (harness.allocator.medium.figures(), harness.allocator.large.figures());
    arena + medium.dirty_bytes.0 + large.cached_bytes
}

/// Calls that give pages back.
fn given_back(harness: &Harness) -> usize {
    [Call::Purge, Call::Unmap, Call::ShrinkBreak]
        .map(|call| harness.allocator.arena.os.calls(call))
        .iter()
        .sum()
}

fn wait(harness: &Harness, millis: usize) {
    harness.allocator.arena.os.millis.fetch_add(millis, Ordering::Relaxed);
}

/// Takes bytes of a kind and frees them, so often, at intervals. How many calls the last round made.
fn swing(harness: &Harness, heap: &Heap, kind: (usize, usize), bytes: usize, rounds: usize) -> usize {
    let mut calls = 0;
    for _ in 0..rounds {
        wait(harness, 10);
        let before = given_back(harness);
        let blocks = take(harness, heap, kind, bytes);
        free(harness, heap, blocks);
        calls = given_back(harness) - before;
    }
    calls
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn what_is_taken_again_and_again_is_not_given_back_in_between() {
    for kind in KINDS {
        let harness = harness();
        let heap = harness.heap();
        assert!(swing(&harness, heap, kind, 5 * MIB, 1) > 0, "{kind:?}: the bound was never passed");
        assert!(dirty(&harness) <= MIB, "{kind:?}");
        assert_eq!(swing(&harness, heap, kind, 5 * MIB, 4), 0, "{kind:?}");
        assert!((4 * MIB..=7 * MIB).contains(&dirty(&harness)), "{kind:?}: {} stay", dirty(&harness));
    }
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn one_that_swung_and_does_nothing_keeps_its_swing_and_gives_it_back_at_the_next_slow_path() {
    for (kind, next) in KINDS.into_iter().flat_map(|kind| KINDS.map(|next| (kind, next))) {
        let harness = harness();
        let heap = harness.heap();
        swing(&harness, heap, kind, 5 * MIB, 5);
        wait(&harness, 1000);
        assert!(dirty(&harness) > 4 * MIB, "{kind:?}: nobody looked");
        let block = harness.alloc(heap, next.0, next.1).expect("memory");
        harness.free(heap, block);
        harness.allocator.purge_excess(Cause::Large);
        assert!(dirty(&harness) <= MIB + MIB / 2, "{kind:?}, then {next:?}: {} stay", dirty(&harness));
    }
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn a_refill_looks_too() {
    let harness = harness();
    let heap = harness.heap();
    swing(&harness, heap, KINDS[0], 5 * MIB, 5);
    wait(&harness, 1000);
    // More than a magazine has.
    let small: Vec<_> = (0..2000).map(|_| harness.alloc(heap, 64, 16).expect("memory")).collect();
    assert!(dirty(&harness) <= MIB, "{} stay", dirty(&harness));
    free(&harness, heap, small);
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn a_swing_that_goes_on_beside_others_keeps_its_own_part_only() {
    let harness = harness();
    let heap = harness.heap();
    swing(&harness, heap, KINDS[0], 6 * MIB, 5);
    assert!(dirty(&harness) > 5 * MIB);
    // Narrower from here on, for two periods and more.
    swing(&harness, heap, KINDS[0], 3 * MIB, 40);
    let stay = dirty(&harness);
    assert!((2 * MIB..=4 * MIB).contains(&stay), "{stay} stay");
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn mappings_chunks_and_runs_are_under_one_most() {
    let harness = harness();
    let heap = harness.heap();
    for _ in 0..10 {
        wait(&harness, 5);
        let blocks: Vec<_> = KINDS.iter().flat_map(|&kind| take(&harness, heap, kind, 2 * MIB)).collect();
        free(&harness, heap, blocks);
        assert!(dirty(&harness) <= 8 * MIB);
    }
    assert!(dirty(&harness) > 4 * MIB, "6 MiB in all are followed: {}", dirty(&harness));
    for _ in 0..10 {
        wait(&harness, 5);
        let blocks: Vec<_> = KINDS.iter().flat_map(|&kind| take(&harness, heap, kind, 4 * MIB)).collect();
        free(&harness, heap, blocks);
    }
    assert!(dirty(&harness) <= MIB + MIB / 2, "12 MiB are not: {}", dirty(&harness));
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn the_process_has_no_more_pages_by_it_than_its_peak() {
    let harness = harness();
    let heap = harness.heap();
    let kept = take(&harness, heap, KINDS[2], 6 * MIB);
    swing(&harness, heap, KINDS[0], 4 * MIB, 5);
    assert!(dirty(&harness) > 3 * MIB, "{} stay of 10 MiB", dirty(&harness));
    let more = take(&harness, heap, KINDS[2], 3 * MIB);
    harness.allocator.purge_excess(Cause::Large);
    let block = harness.alloc(heap, 100_000, SPAN_ALIGN).expect("memory");
    harness.free(heap, block);
    let height = 6 * MIB + (4 * MIB / KINDS[0].0) * KINDS[0].0.next_multiple_of(GRANULE);
    assert!(9 * MIB + dirty(&harness) <= height + MIB, "{} stay beside 9 MiB", dirty(&harness));
    // Beyond the height nothing swings.
    let beyond = take(&harness, heap, KINDS[2], 6 * MIB);
    swing(&harness, heap, KINDS[0], 128 * 1024, 2);
    assert!(dirty(&harness) <= MIB, "{} stay beside 15 MiB", dirty(&harness));
    [kept, more, beyond].into_iter().for_each(|blocks| free(&harness, heap, blocks));
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn who_wants_none_gets_none() {
    for config in [Config::new().dirty_floor(MIB).swing(0), Config::small()] {
        for kind in KINDS {
            let harness = Harness::new(Sim::new());
            let heap = harness.heap();
            harness.allocator.arena.settings.take_code(&config);
            assert!(swing(&harness, heap, kind, 5 * MIB, 10) > 0, "{kind:?}");
            assert!(dirty(&harness) <= MIB, "{kind:?}: {} stay", dirty(&harness));
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn what_the_kernel_refuses_to_take_did_not_go() {
    let harness = harness();
    let heap = harness.heap();
    harness.allocator.arena.os.refuse(Call::Purge, 0, usize::MAX / 2);
    swing(&harness, heap, KINDS[0], 5 * MIB, 3);
    assert!(!harness.allocator.arena.budget.swing.is_watched());
    harness.allocator.arena.os.forgive();
    wait(&harness, 1000);
    swing(&harness, heap, KINDS[0], 5 * MIB, 1);
    // A refused purge is left out for a while.
    for _ in 0..10 {
        wait(&harness, 1000);
        swing(&harness, heap, KINDS[0], 5 * MIB, 1);
    }
    assert!(dirty(&harness) <= MIB, "{} stay", dirty(&harness));
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn a_trim_ends_it() {
    let harness = harness();
    let heap = harness.heap();
    swing(&harness, heap, KINDS[0], 5 * MIB, 5);
    harness.allocator.trim(Some(heap));
    assert_eq!((dirty(&harness), harness.allocator.arena.budget.swing.is_watched()), (0, false));
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn the_background_thread_gives_it_back_by_time() {
    let harness = harness();
    let heap = harness.heap();
    swing(&harness, heap, KINDS[0], 5 * MIB, 5);
    for _ in 0..2 {
        wait(&harness, 10_000);
        harness.allocator.purge_idle();
    }
    assert_eq!((dirty(&harness), harness.allocator.arena.budget.swing.bound()), (0, 0));
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn a_forks_child_goes_on_with_it_or_gives_it_back() {
    let harness = harness();
    let heap = harness.heap();
    swing(&harness, heap, KINDS[0], 5 * MIB, 5);
    let before = given_back(&harness);
    harness.repair(heap);
    assert_eq!(given_back(&harness), before, "a child of a moment pays for none of it");
    assert_eq!(swing(&harness, heap, KINDS[0], 5 * MIB, 2), 0);
    wait(&harness, 1000);
    let block = harness.alloc(heap, 100_000, SPAN_ALIGN).expect("memory");
    harness.free(heap, block);
    assert!(dirty(&harness) <= MIB, "{} stay", dirty(&harness));
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn the_pages_inside_of_slabs_that_empty_themselves_again_and_again_stay() {
    let harness = harness();
    let heap = harness.heap();
    let purges = || harness.allocator.arena.os.calls(Call::Purge);
    let round = |round: usize| {
        wait(&harness, 10);
        let blocks: Vec<_> = (0..12_000).map(|_| harness.alloc(heap, 512, 16).expect("memory")).collect();
        let (kept, gone): (Vec<_>, Vec<_>) =
            blocks.into_iter().enumerate().partition(|(at, _)| (at + round) % 128 == 0);
        gone.into_iter().for_each(|(_, block)| harness.free(heap, block));
        kept.into_iter().map(|(_, block)| block).collect::<Vec<_>>()
    };
    let (before, mut kept) = (purges(), round(0));
    assert!(purges() > before, "the bound was never passed");
    for at in 1..4 {
        let more = round(at);
        free(&harness, heap, core::mem::replace(&mut kept, more));
    }
    let settled = purges();
    for at in 4..8 {
        let more = round(at);
        free(&harness, heap, core::mem::replace(&mut kept, more));
    }
    assert_eq!(purges(), settled, "nothing goes while it swings");
    wait(&harness, 1000);
    let slack = || harness.allocator.registry.any(|heap| heap.slack() > MIB);
    assert!(slack(), "it stays while nobody looks");
    let block = harness.alloc(heap, 100_000, SPAN_ALIGN).expect("memory");
    harness.free(heap, block);
    assert!(purges() > settled && !slack());
}

/// Slabs empty themselves in part, and their pages go one by one; then whole, in few frees.
#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn small_blocks_that_are_freed_in_any_order_stay_too() {
    for most in [128, 1024, 8192] {
        let harness = harness();
        let heap = harness.heap();
        let size = |at: usize| most / 8 + at * 7919 % (most * 7 / 8);
        let count = 4 * MIB / (most * 9 / 16);
        let mut rounds = [0; 12];
        for calls in &mut rounds {
            wait(&harness, 10);
            let before = given_back(&harness);
            let blocks: Vec<_> =
                (0..count).map(|at| harness.alloc(heap, size(at), 16).expect("memory")).collect();
            // A permutation: the step is a prime that does not divide the count.
            (0..count).for_each(|at| harness.free(heap, blocks[at * 10_007 % count]));
            *calls = given_back(&harness) - before;
        }
        assert!(rounds[0] > 0, "up to {most} bytes: the bound was never passed");
        assert!(
            rounds[6..].iter().sum::<usize>() < rounds[0],
            "up to {most} bytes: {rounds:?} calls a round"
        );
    }
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn by_default_a_swing_of_the_floor_asks_for_no_time() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    swing(&harness, heap, KINDS[0], DIRTY_FLOOR / 2, 10);
    let swing = &harness.allocator.arena.budget.swing;
    assert!(!swing.is_watched() && !harness.allocator.arena.budget.is_held());
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn a_sparse_heap_that_swings_has_more_at_hand_than_others() {
    const SIZE: usize = 512;
    // Of each slab a block stays.
    const KEPT: usize = GRANULE / SIZE;
    for (most, more) in [(8 * MIB, true), (0, false)] {
        let harness = Harness::new(Sim::new());
        let config = Config::new().dirty_floor(MIB).dirty_share(0).swing(most);
        harness.allocator.arena.settings.take_code(&config);
        let heap = harness.heap();
        let mut freed = Vec::new();
        let mut kept = Vec::new();
        for round in 0..6 {
            wait(&harness, 10);
            let blocks = take(&harness, heap, (SIZE, 16), 6 * MIB);
            free(&harness, heap, core::mem::take(&mut kept));
            let stays = |at: &usize| (at + round) % KEPT == 0;
            kept = (0..blocks.len()).filter(stays).map(|at| blocks[at]).collect();
            freed = (0..blocks.len()).filter(|at| !stays(at)).map(|at| blocks[at]).collect();
            freed.iter().for_each(|&block| harness.free(heap, block));
        }
        let at_hand = freed.iter().filter(|&&block| heap.has_at_hand(size_class::of(SIZE), block)).count();
        assert_eq!(
            at_hand > FEW_REOPENED as usize,
            more,
            "{at_hand} blocks are at hand where {most} may swing"
        );
        assert!(at_hand > 0 && at_hand <= REOPENED_MOST as usize, "{at_hand}");
        free(&harness, heap, kept);
    }
}
