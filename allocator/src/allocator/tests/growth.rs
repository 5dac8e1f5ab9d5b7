//! How the arena grows and shrinks: the break while it is ours to move, regions anywhere else, windows and
//! blocks that follow.

use super::*;
use crate::base::config::BLOCK_GRANULES;
use crate::base::keys::Key;
use crate::os::BreakOwner;
use crate::os::sim::RANGE;

/// Bytes of a block that is a span of one granule.
const SPAN: usize = 60_000;

/// Somebody else's.
const WHY: Why = Reason::Program.by(Cause::Program);

fn mode(harness: &Harness) -> BreakMode {
    harness.allocator.arena.figures().unwrap().mode
}

/// What is enough to see it, where each takes long.
fn fewer(count: usize) -> usize {
    if cfg!(miri) { count.div_ceil(3) } else { count }
}

fn spans(harness: &Harness, heap: &Heap, count: usize) -> Vec<Held> {
    (0..fewer(count)).map(|k| harness.hold(heap, SPAN, SPAN_ALIGN, k as u8).expect("memory")).collect()
}

fn free_all(harness: &Harness, heap: &Heap, held: Vec<Held>) {
    held.into_iter().for_each(|one| harness.check_and_free(heap, one));
}

#[test]
fn beside_another_malloc_the_break_is_moved_while_there_is_one_thread() {
    let mut os = Sim::with_owner(BreakOwner::Shared);
    os.alone = true;
    let mut harness = Harness::new(os);
    let heap = harness.heap();
    let held = spans(&harness, heap, 30);
    assert_eq!((mode(&harness), harness.allocator.arena.os.calls(Call::MapNear)), (BreakMode::Break, 0));
    let brk = harness.allocator.arena.os.brk_bytes();
    harness.allocator.arena.os.alone = false;
    let heap = harness.heap();
    let more = spans(&harness, heap, 60);
    assert_eq!((mode(&harness), harness.allocator.arena.os.brk_bytes()), (BreakMode::Regions, brk));
    free_all(&harness, heap, held);
    free_all(&harness, heap, more);
    assert_eq!(harness.allocator.arena.os.brk_bytes(), brk, "with threads it is not lowered either");
}

#[test]
fn a_break_that_another_moved_unseen_is_never_moved_again() {
    for owner in [BreakOwner::Ours, BreakOwner::Shared] {
        let harness = Harness::new(Sim::with_owner(owner));
        let heap = harness.heap();
        let mut held = spans(&harness, heap, 10);
        let os = &harness.allocator.arena.os;
        let foreign: *mut u8 = core::ptr::with_exposed_provenance_mut(os.current_break());
        os.foreign_sbrk(100_000);
        // SAFETY: inside the simulated range, and just taken from the break by its other user.
        unsafe { foreign.write_bytes(0xF0, 100_000) };
        let brk = os.brk_bytes();
        held.extend(spans(&harness, heap, 40));
        free_all(&harness, heap, held);
        harness.allocator.trim(Some(heap));
        assert_eq!(os.brk_bytes(), brk, "{owner:?}");
        // SAFETY: as above.
        let bytes = unsafe { core::slice::from_raw_parts(foreign, 100_000) };
        assert!(all_are(bytes, 0xF0), "the other user's memory was used");
    }
}

#[test]
fn an_sbrk_that_is_served_here_leaves_a_hole_and_the_break_ours() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let mut held = spans(&harness, heap, 10);
    let (arena, os) = (&harness.allocator.arena, &harness.allocator.arena.os);
    let theirs = arena.with_break_held(|_| os.grow_break(100_000, WHY).unwrap());
    // SAFETY: grown for the other user a moment ago.
    unsafe { theirs.write_bytes(0xF0, 100_000) };
    held.extend(spans(&harness, heap, 40));
    assert_eq!((mode(&harness), os.calls(Call::MapNear)), (BreakMode::Break, 0));
    free_all(&harness, heap, held);
    harness.allocator.trim(Some(heap));
    assert_eq!(os.current_break() / GRANULE, (theirs.addr() + 100_000).div_ceil(GRANULE));
    assert!(arena.with_break_held(|ours| ours <= theirs.addr()), "what is theirs may go by their sbrk");
    // SAFETY: as above.
    let bytes = unsafe { core::slice::from_raw_parts(theirs, 100_000) };
    assert!(all_are(bytes, 0xF0), "the other user's memory was used");
    free_all(&harness, heap, spans(&harness, heap, 20));
}

#[test]
#[cfg_attr(miri, ignore = "too many blocks")]
fn above_a_blocked_break_regions_serve_and_they_go_when_they_are_free() {
    for above in [0, 4 << 20] {
        let os = Sim::new();
        os.block_break(above);
        let harness = Harness::new(os);
        let heap = harness.heap();
        let os = &harness.allocator.arena.os;
        let held = spans(&harness, heap, 700);
        assert_eq!(mode(&harness), BreakMode::Regions);
        let full = os.mapped_bytes();
        free_all(&harness, heap, held);
        harness.allocator.trim(Some(heap));
        assert!(os.mapped_bytes() + (4 << 20) < full, "{} of {full} bytes stay", os.mapped_bytes());
        free_all(&harness, heap, spans(&harness, heap, 40));
    }
}

/// With 39 bits of addresses and most of them taken, say: no map for a longer window, little for regions.
#[test]
#[cfg_attr(miri, ignore = "too many blocks")]
fn where_addresses_are_few_what_fits_is_served_and_comes_back() {
    let mut os = Sim::with_owner(BreakOwner::Foreign);
    (os.scatter, os.room) = (true, 12 << 20);
    let harness = Harness::new(os);
    let heap = harness.heap();
    for _ in 0..2 {
        let mut held = Vec::new();
        while let Some(one) = harness.hold(heap, SPAN, SPAN_ALIGN, 7) {
            held.push(one);
        }
        assert!(held.len() * GRANULE > 6 << 20, "only {} spans", held.len());
        free_all(&harness, heap, held);
        harness.allocator.trim(Some(heap));
    }
}

#[test]
fn a_library_never_moves_the_break() {
    let harness = Harness::new(Sim::with_owner(BreakOwner::Foreign));
    let heap = harness.heap();
    let brk = harness.allocator.arena.os.brk_bytes();
    let held = spans(&harness, heap, 30);
    assert_eq!(mode(&harness), BreakMode::Regions);
    free_all(&harness, heap, held);
    assert_eq!(harness.allocator.arena.os.brk_bytes(), brk);
}

/// The simulated system honours no hint but inside of the break's range: each region is somewhere else, below
/// the origin too, and there are more of them than windows.
#[test]
fn blocks_of_regions_anywhere_are_freed_by_any_thread() {
    let mut os = Sim::with_owner(BreakOwner::Foreign);
    os.scatter = true;
    let harness = Harness::new(os);
    let (heap, other) = (harness.heap(), harness.heap());
    let mut held = spans(&harness, heap, if cfg!(miri) { 60 } else { 400 });
    held.extend(
        (0..if cfg!(miri) { 30 } else { 900 }).map(|k| harness.hold(heap, 700, 16, k as u8).unwrap()),
    );
    held.chunks(2).for_each(|pair| {
        pair.iter().zip([heap, other]).for_each(|(&one, heap)| harness.check_and_free(heap, one))
    });
    harness.allocator.trim(Some(heap));
    harness.give_back(other);
    harness.allocator.trim(Some(heap));
    assert_eq!(harness.allocator.arena.figures().unwrap().in_use.0, 0);
}

/// A span that ends where the first region begins, and a slab there: no granule's index ends the numbers.
#[test]
#[cfg_attr(miri, ignore = "too many blocks")]
fn right_below_the_first_region_spans_and_slabs_are_whole() {
    for span in [SPAN, 2 * SPAN] {
        let harness = Harness::new(Sim::with_first_region_at_a_block());
        let heap = harness.heap();
        let more = || (0..60).map(|k| harness.hold(heap, span, SPAN_ALIGN, k).unwrap());
        let mut held: Vec<_> = more().collect();
        let end = |one: &Held| (one.at.addr() + span).next_multiple_of(GRANULE);
        assert!(held.iter().any(|one| end(one).is_multiple_of(BLOCK_GRANULES as usize * GRANULE)));
        held.extend((0..3000).map(|k| harness.hold(heap, 1000, 16, k as u8).unwrap()));
        harness.elsewhere(|allocator| core::mem::forget(allocator.arena.hold_lock()));
        harness.repair(heap);
        held.extend(more());
        free_all(&harness, heap, held);
        harness.allocator.trim(Some(heap));
        assert_eq!(harness.allocator.arena.figures().unwrap().in_use.0, 0);
    }
}

#[test]
fn the_child_of_a_fork_finds_what_is_free_in_every_block() {
    for owner in [BreakOwner::Ours, BreakOwner::Foreign] {
        let harness = Harness::new(Sim::with_owner(owner));
        let heap = harness.heap();
        let mut held = spans(&harness, heap, 40);
        harness.allocator.arena.os.foreign_sbrk(5000);
        held.extend(spans(&harness, heap, 40));
        for one in held.split_off(fewer(45)) {
            harness.check_and_free(heap, one);
        }
        let before = harness.allocator.arena.figures().unwrap();
        harness.elsewhere(|allocator| core::mem::forget(allocator.arena.hold_lock()));
        harness.repair(heap);
        let after = harness.allocator.arena.figures().unwrap();
        assert_eq!((after.in_use, after.free, after.gained), (before.in_use, before.free, before.gained));
        free_all(&harness, heap, held);
        harness.allocator.trim(Some(heap));
        assert_eq!(harness.allocator.arena.figures().unwrap().in_use.0, 0);
    }
}

#[test]
fn a_region_that_cannot_be_unmapped_stays_and_serves() {
    let harness = Harness::new(Sim::with_owner(BreakOwner::Foreign));
    let heap = harness.heap();
    let held = spans(&harness, heap, 60);
    let os = &harness.allocator.arena.os;
    free_all(&harness, heap, held);
    os.refuse(Call::Unmap, 0, 99);
    let gained = harness.allocator.arena.figures().unwrap().gained;
    harness.allocator.trim(Some(heap));
    assert_eq!(harness.allocator.arena.figures().unwrap().gained, gained);
    let maps = os.calls(Call::MapNear) + os.calls(Call::Map);
    free_all(&harness, heap, spans(&harness, heap, 60));
    assert_eq!(os.calls(Call::MapNear) + os.calls(Call::Map), maps);
    os.forgive();
    harness.allocator.trim(Some(heap));
    assert!(harness.allocator.arena.figures().unwrap().gained < gained);
}

/// However few blocks are freed last, and wherever they are, dirty or not: 32 MiB may wait.
#[test]
#[cfg_attr(miri, ignore = "too many blocks")]
fn a_program_that_freed_all_keeps_few_addresses() {
    for (owner, last) in [BreakOwner::Ours, BreakOwner::Foreign].into_iter().zip([799, 30]) {
        let harness = Harness::new(Sim::with_owner(owner));
        let (heap, arena) = (harness.heap(), &harness.allocator.arena);
        let mut held = spans(&harness, heap, 800);
        let gained = arena.figures().unwrap().gained.0;
        assert!(gained >= 800 * GRANULE);
        held.swap(last, 799);
        let last = held.pop().unwrap();
        free_all(&harness, heap, held);
        assert!(arena.figures().unwrap().dirty.0 > 0);
        harness.check_and_free(heap, last);
        let figures = arena.figures().unwrap();
        assert!(figures.free.0 <= 32 << 20, "{owner:?}: {} of {gained} bytes are free", figures.free.0);
        free_all(&harness, heap, spans(&harness, heap, 800));
    }
}

/// The break's last granules in a block may be few: what is free below them goes all the same.
#[test]
#[cfg_attr(miri, ignore = "too many blocks")]
fn the_break_goes_down_across_blocks() {
    for above in 0..5 {
        let left = (20 << 20) + above * 3 * GRANULE;
        let harness =
            Harness::new(Sim::with_break_at(BreakOwner::Ours, (BLOCK_GRANULES as usize * GRANULE) - left));
        let heap = harness.heap();
        let mut held = spans(&harness, heap, 480);
        held.reverse();
        assert!(harness.allocator.arena.os.brk_bytes() > left, "all is in one block");
        free_all(&harness, heap, held);
        let brk = harness.allocator.arena.os.brk_bytes();
        assert!(brk <= 9 << 20, "{brk} bytes of the break stay with {left} below a block's end");
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many blocks")]
fn ends_that_the_kernel_keeps_are_not_tried_at_each_free() {
    let harness = Harness::new(Sim::with_owner(BreakOwner::Foreign));
    let (heap, os) = (harness.heap(), &harness.allocator.arena.os);
    let held = spans(&harness, heap, 1600);
    let before = os.calls(Call::Unmap);
    os.refuse(Call::Unmap, 0, usize::MAX / 2);
    free_all(&harness, heap, held);
    let tries = os.calls(Call::Unmap) - before;
    // Of 1600 frees.
    assert!((1..80).contains(&tries), "{tries} calls");
    os.forgive();
    free_all(&harness, heap, spans(&harness, heap, 1600));
    assert!(harness.allocator.arena.figures().unwrap().free.0 <= 48 << 20);
}

#[test]
fn a_run_does_not_cross_a_block_and_the_next_one_serves_what_is_left_too_short() {
    const BLOCK: usize = BLOCK_GRANULES as usize * GRANULE;
    // One is enough under Miri, where the rest of the block has to be made too.
    for left in if cfg!(miri) { &[1 << 20][..] } else { &[GRANULE, 1 << 20, 3 << 20] } {
        let left = *left;
        let harness = Harness::new(Sim::with_break_at(BreakOwner::Ours, BLOCK - left));
        let heap = harness.heap();
        assert!(harness.allocator.arena.settings.set_by_program(Key::MmapThreshold, 32 << 20));
        let len = if cfg!(miri) { 1 << 20 } else { RANGE / 16 };
        let mut held: Vec<_> = (0..5).map(|k| harness.hold(heap, len, 16, k).expect("memory")).collect();
        held.extend(spans(&harness, heap, 30));
        assert!(held.iter().all(|one| one.at.addr() / BLOCK == (one.at.addr() + one.size - 1) / BLOCK));
        assert_eq!(mode(&harness), BreakMode::Break);
        free_all(&harness, heap, held);
        harness.allocator.trim(Some(heap));
        assert!(harness.allocator.arena.os.brk_bytes() < 4 * GRANULE + left);
    }
}
