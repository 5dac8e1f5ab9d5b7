//! What goes back from inside of slabs, and when.

use super::*;
use crate::base::config::{DIRTY_FLOOR, SLACK_LEAST, SPARSE_BYTES};
use std::collections::BTreeSet;

/// No page of free blocks reads as zero by itself.
const FILL: u8 = 0xA5;

/// Whether a trim gives back pages inside of slabs.
fn trims_inside(harness: &Harness, heap: &Heap) -> bool {
    harness.allocator.trim(Some(heap)).inside_slabs.0 > 0
}

/// Blocks of a size, in the order they came.
fn fill(harness: &Harness, heap: &Heap, size: usize, count: usize) -> Vec<Held> {
    (0..count).map(|_| harness.hold(heap, size, 16, FILL).expect("memory")).collect()
}

/// Frees all of the blocks but those that `keep` names by their place; those.
fn thin_out(harness: &Harness, heap: &Heap, held: Vec<Held>, keep: impl Fn(usize) -> bool) -> Vec<Held> {
    let (kept, freed): (Vec<_>, Vec<_>) = held.into_iter().enumerate().partition(|&(at, _)| keep(at));
    freed.into_iter().for_each(|(_, one)| harness.free(heap, one.at));
    kept.into_iter().map(|(_, one)| one).collect()
}

fn pages_of(held: &[Held], page: usize) -> BTreeSet<usize> {
    let pages = |one: &Held| one.at.addr() / page..=(one.at.addr() + one.size - 1) / page;
    held.iter().flat_map(pages).collect()
}

/// How many of these pages hold anything.
fn resident(pages: impl Iterator<Item = usize>, page: usize) -> usize {
    let holds = |&page_at: &usize| {
        let at: *const u64 = core::ptr::with_exposed_provenance(page_at * page);
        // SAFETY: pages of the simulated break, which the test got blocks in.
        (0..page / 8).step_by(8).any(|word| unsafe { at.add(word).read() } != 0)
    };
    pages.filter(holds).count()
}

/// Fills and thins out; the blocks that stay, and the pages of all that hold none of them.
fn thinned(
    harness: &Harness,
    heap: &Heap,
    size: usize,
    count: usize,
    keep: impl Fn(usize) -> bool,
) -> (Vec<Held>, BTreeSet<usize>) {
    let page = harness.allocator.arena.os.page;
    let held = fill(harness, heap, size, count);
    let mut pages = pages_of(&held, page);
    let kept = thin_out(harness, heap, held, keep);
    let used = pages_of(&kept, page);
    pages.retain(|page| !used.contains(page));
    (kept, pages)
}

fn check_all(harness: &Harness, heap: &Heap, kept: Vec<Held>) {
    kept.into_iter().for_each(|one| harness.check_and_free(heap, one));
}

#[test]
fn a_trim_leaves_a_block_no_more_than_its_pages() {
    for (page, size, every) in [(4096, 512, 40), (4096, 1008, 9), (4096, 3072, 5), (16384, 1008, 40)] {
        let mut os = Sim::new();
        os.page = page;
        let harness = Harness::new(os);
        let heap = harness.heap();
        let (kept, free) = thinned(&harness, heap, size, 4 * GRANULE / size, |at| at % every == every / 2);
        assert!(resident(free.iter().copied(), page) > 0, "nothing to give back: the test shows nothing");
        assert!(trims_inside(&harness, heap));
        assert_eq!(resident(free.iter().copied(), page), 0, "{size} bytes, one in {every}, of {page}");
        check_all(&harness, heap, kept);
    }
}

#[test]
fn slabs_that_are_one_page_keep_it() {
    let mut os = Sim::new();
    os.page = GRANULE;
    let harness = Harness::new(os);
    let heap = harness.heap();
    let (kept, _) = thinned(&harness, heap, 1024, 4 * 64, |at| at % 64 == 5);
    assert!(!trims_inside(&harness, heap));
    check_all(&harness, heap, kept);
}

#[test]
fn clean_pages_are_not_purged_again_and_used_ones_are() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let purges = || harness.allocator.arena.os.calls(Call::Purge);
    let (kept, free) = thinned(&harness, heap, 512, 3 * 128, |at| at % 128 == 64);
    harness.allocator.trim(Some(heap));
    let before = purges();
    assert!(!trims_inside(&harness, heap));
    assert_eq!(purges(), before, "nothing came back since");
    let again = fill(&harness, heap, 512, 20);
    let pages = pages_of(&again, 4096);
    assert!(pages.is_subset(&free), "they are in pages that were purged");
    thin_out(&harness, heap, again, |_| false);
    harness.allocator.trim(Some(heap));
    assert_eq!(resident(pages.into_iter(), 4096), 0);
    assert_eq!(purges(), before + 1, "three pages side by side");
    check_all(&harness, heap, kept);
}

#[test]
fn pages_of_slabs_side_by_side_go_by_one_call() {
    const SLABS: usize = 9;
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let (kept, _) = thinned(&harness, heap, 1024, SLABS * 64, |at| at % 64 == 33);
    let before = harness.allocator.arena.os.calls(Call::Purge);
    harness.give_back(heap);
    assert!(heap.purge_pages(&harness.allocator.arena).0 > 0);
    assert_eq!(harness.allocator.arena.os.calls(Call::Purge) - before, SLABS + 1);
    check_all(&harness, heap, kept);
}

#[test]
fn pages_that_cannot_go_are_as_they_were_and_go_later() {
    let harness = Harness::new(Sim::new());
    let (heap, os) = (harness.heap(), &harness.allocator.arena.os);
    let (kept, free) = thinned(&harness, heap, 512, 4 * 128, |at| at % 128 == 64);
    os.refuse(Call::Purge, 0, usize::MAX / 2);
    assert!(!trims_inside(&harness, heap));
    // What is zeroed must be so though the pages are not.
    let fresh = harness.allocator.alloc_class_or_pop(heap, size_class::of(512));
    let block = zeroed(fresh, 512);
    // SAFETY: a block of 512 bytes.
    assert!(all_are(unsafe { core::slice::from_raw_parts(block, 512) }, 0));
    harness.free(heap, block);
    os.forgive();
    assert!(trims_inside(&harness, heap));
    assert_eq!(resident(free.iter().copied(), 4096), 0);
    check_all(&harness, heap, kept);
}

#[test]
fn blocks_come_back_to_slabs_whose_pages_are_being_purged_and_none_is_taken() {
    let harness = Harness::new(Sim::new());
    let arena = &harness.allocator.arena;
    let (heap, other) = (harness.heap(), harness.heap());
    let (mut kept, free) = thinned(&harness, heap, 1024, 4 * 64, |at| at % 64 == 33 || at % 64 == 50);
    harness.give_back(heap);
    let mut taken = Vec::new();
    let one = kept.remove(0);
    // The last two: their slab is empty then.
    let last = kept.split_off(kept.len() - 2);
    heap.purge_pages_while(arena, || {
        taken.extend(fill(&harness, heap, 1024, 100));
        harness.free(other, one.at);
        last.iter().for_each(|one| harness.free(other, one.at));
        harness.give_back(other);
    });
    assert!(pages_of(&taken, 4096).is_disjoint(&free), "a block was taken from a slab that was away");
    taken.into_iter().for_each(|one| harness.check_and_free(heap, one));
    check_all(&harness, heap, kept);
    harness.allocator.trim(Some(heap));
    assert_eq!(arena.figures().unwrap().in_use.0, 0, "all slabs went back");
}

#[test]
fn the_child_of_a_fork_uses_slabs_that_another_thread_had_away() {
    let harness = Harness::new(Sim::new());
    let (heap, arena) = (harness.heap(), &harness.allocator.arena);
    let (kept, _) = thinned(&harness, heap, 1024, 4 * 64, |at| at % 64 == 33);
    harness.give_back(heap);
    harness.elsewhere(|allocator| heap.leave_pages_away(&allocator.arena));
    harness.repair(heap);
    let in_use = arena.figures().unwrap().in_use;
    let fresh = fill(&harness, heap, 1024, 4 * 63);
    assert_eq!(arena.figures().unwrap().in_use, in_use, "what was free there is");
    check_all(&harness, heap, fresh);
    check_all(&harness, heap, kept);
    harness.allocator.trim(Some(heap));
    assert_eq!(arena.figures().unwrap().in_use.0, 0);
}

#[test]
fn a_round_goes_on_in_the_child_of_a_fork_that_was_made_inside_of_it() {
    let harness = Harness::new(Sim::new());
    let (heap, arena) = (harness.heap(), &harness.allocator.arena);
    let (kept, free) = thinned(&harness, heap, 1024, 4 * 64, |at| at % 64 == 33);
    harness.give_back(heap);
    // A handler of this thread forks, and goes on to use what it finds.
    let mut fresh = Vec::new();
    heap.purge_pages_while(arena, || {
        harness.repair(heap);
        fresh.extend(fill(&harness, heap, 1024, 4 * 64));
    });
    assert!(pages_of(&fresh, 4096).is_disjoint(&free), "a block was taken from a slab that was away");
    check_all(&harness, heap, fresh);
    check_all(&harness, heap, kept);
}

#[test]
fn a_slab_that_was_purged_leaves_no_dirty_pages() {
    let harness = Harness::new(Sim::new());
    let (heap, arena) = (harness.heap(), &harness.allocator.arena);
    let dirty = || arena.figures().unwrap().dirty.0;
    let (mut kept, _) = thinned(&harness, heap, 1024, 8 * 64, |at| at % 64 == 33);
    harness.allocator.trim(Some(heap));
    assert_eq!(dirty(), 0);
    // The one that stays is kept for the next block.
    let last = kept.pop().unwrap();
    check_all(&harness, heap, kept);
    harness.give_back(heap);
    assert_eq!(dirty(), 7 * 4096);
    check_all(&harness, heap, vec![last]);
}

/// More than what may come back before it is purged.
const MANY: usize = DIRTY_FLOOR + (4 << 20);

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn a_sparse_heap_gives_back_its_pages_by_itself() {
    for (size, every) in [(512, 128), (512, 16), (1008, 32), (64, 256), (3072, 16)] {
        let harness = Harness::new(Sim::new());
        let heap = harness.heap();
        let (kept, free) = thinned(&harness, heap, size, MANY / size, |at| at % every == 0);
        let rest = resident(free.iter().copied(), 4096);
        // What came back since the last round: a quarter of what is in use, and the last slabs.
        let used = kept.len() * size_class::bytes(size_class::of(size));
        let most = (SLACK_LEAST.max(used / 3) + 64 * 1024) / 4096;
        assert!(rest <= most, "{rest} of {} pages, {size} bytes, one in {every}", free.len());
        check_all(&harness, heap, kept);
    }
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn sparse_heaps_count_together() {
    let harness = Harness::new(Sim::new());
    let heaps: Vec<_> = (0..8).map(|_| harness.heap()).collect();
    let all: Vec<_> =
        heaps.iter().map(|heap| thinned(&harness, heap, 512, MANY / 8 / 512, |at| at % 128 == 0)).collect();
    let rest: usize = all.iter().map(|(_, free)| resident(free.iter().copied(), 4096)).sum();
    const { assert!(MANY / 8 < SPARSE_BYTES, "each of them is small") };
    assert!(rest <= DIRTY_FLOOR / 4096, "{rest} pages in {} heaps", heaps.len());
    heaps.iter().zip(all).for_each(|(heap, (kept, _))| check_all(&harness, heap, kept));
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn what_others_free_of_a_sparse_heap_goes_back_while_its_thread_sleeps() {
    let harness = Harness::new(Sim::new());
    let (heap, other) = (harness.heap(), harness.heap());
    let held = fill(&harness, heap, 512, MANY / 512);
    let mut free = pages_of(&held, 4096);
    let kept = thin_out(&harness, other, held, |at| at % 128 == 0);
    harness.give_back(other);
    let used = pages_of(&kept, 4096);
    free.retain(|page| !used.contains(page));
    let rest = resident(free.into_iter(), 4096);
    // As above, and what waits in the inbox.
    assert!(rest <= 3 * SLACK_LEAST / 4096, "{rest} pages");
    check_all(&harness, heap, kept);
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn a_program_that_empties_a_little_again_and_again_purges_nothing() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let before = harness.allocator.arena.os.calls(Call::Purge);
    for _ in 0..5 {
        let (kept, _) = thinned(&harness, heap, 512, (DIRTY_FLOOR - (1 << 20)) / 512, |at| at % 128 == 0);
        check_all(&harness, heap, kept);
    }
    assert_eq!(harness.allocator.arena.os.calls(Call::Purge), before);
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn a_sparse_heap_that_hovers_purges_nothing() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let (kept, _) = thinned(&harness, heap, 512, MANY / 512, |at| at % 128 == 0);
    let purges = || harness.allocator.arena.os.calls(Call::Purge);
    assert!(purges() > 0, "it was not purged at first: the test shows nothing");
    let hover = |rounds: usize| {
        for _ in 0..rounds {
            let more = fill(&harness, heap, 512, SLACK_LEAST / 2 / 512);
            thin_out(&harness, heap, more, |_| false);
        }
    };
    // What was left from before goes with the first.
    hover(2);
    let before = purges();
    hover(100);
    assert_eq!(purges(), before);
    check_all(&harness, heap, kept);
}
