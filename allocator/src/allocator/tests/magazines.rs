//! Whose blocks a thread keeps at hand, and when they go home.

use super::*;

/// More than a magazine of the class holds at first, and fewer than half of what it holds at most.
const SOME: usize = 40;
const SIZE: usize = 64;

fn blocks(harness: &Harness, heap: &Heap, count: usize) -> Vec<*mut u8> {
    (0..count).map(|_| harness.alloc(heap, SIZE, 16).expect("memory")).collect()
}

/// Which of `count` blocks of one heap another one hands out that freed them.
fn reused(count: usize) -> Vec<*mut u8> {
    let harness = Harness::new(Sim::new());
    let (owner, other) = (harness.heap(), harness.heap());
    let theirs = blocks(&harness, owner, count);
    theirs.iter().for_each(|&block| harness.free(other, block));
    blocks(&harness, other, count).into_iter().filter(|block| theirs.contains(block)).collect()
}

#[test]
fn a_thread_hands_out_again_what_it_freed_of_another() {
    let reused = reused(SOME);
    assert!(reused.len() >= SOME / 4, "{} of {SOME}", reused.len());
}

#[test]
fn a_single_block_of_another_goes_home() {
    assert_eq!(reused(1), []);
}

#[test]
fn what_was_kept_of_another_goes_home_in_the_end() {
    let harness = Harness::new(Sim::new());
    let (owner, other) = (harness.heap(), harness.heap());
    for &block in &blocks(&harness, owner, 10 * SOME) {
        harness.free(other, block);
    }
    for heap in [other, owner] {
        heap.give_back(&harness.allocator.arena, &harness.allocator.registry);
        harness.allocator.trim(None);
    }
    assert_eq!(harness.allocator.arena.figures().unwrap().in_use.0, 0);
}

#[test]
fn a_heap_that_is_mostly_free_keeps_nothing_at_hand() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    // Slabs of a class, of which every block but one in a slab is freed, in the order of addresses.
    let count = if cfg!(miri) { 36 } else { 60 } * GRANULE / 1024;
    let held: Vec<_> = (0..count).map(|_| harness.alloc(heap, 1024, 16).expect("memory")).collect();
    let (kept, freed): (Vec<_>, Vec<_>) = held.into_iter().partition(|block| block.addr() % GRANULE == 0);
    freed.iter().for_each(|&block| harness.free(heap, block));
    let (slabs, used) = heap.slab_figures();
    assert_eq!(slabs, kept.len() * GRANULE);
    assert!(used <= kept.len() * 1024 + 16 * 1024, "{used} bytes are out for {} blocks", kept.len());
}

#[test]
fn blocks_come_in_the_order_of_addresses() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let first = blocks(&harness, heap, 5);
    assert!(first.is_sorted());
    first.iter().for_each(|&block| harness.free(heap, block));
    heap.give_back(&harness.allocator.arena, &harness.allocator.registry);
    assert!(blocks(&harness, heap, 5).is_sorted());
}
