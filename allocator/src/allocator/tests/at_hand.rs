//! What a thread has at hand when it has freed everything.

use super::*;
use crate::base::config::{HOARD, MAGAZINE_BYTES};

/// Every size from 16 bytes to 32 KiB, in steps of an eighth.
fn sizes() -> impl Iterator<Item = usize> + Clone {
    core::iter::successors(Some(16), |size| Some(size + (size / 8).max(16)))
        .take_while(|&size| size < size_class::CLASS_MAX)
}

fn held_of(harness: &Harness, heap: &Heap, sizes: impl Iterator<Item = usize>) -> Vec<*mut u8> {
    sizes.map(|size| harness.alloc(heap, size, 16).expect("memory")).collect()
}

fn slab_bytes(harness: &Harness) -> usize {
    harness.allocator.arena.figures().unwrap().in_use.0
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn a_thread_that_worked_with_every_size_in_turn_keeps_little() {
    // What it works with at once, of each size.
    for bytes in [100 << 10, 200 << 10, 250 << 10] {
        let harness = Harness::new(Sim::new());
        let heap = harness.heap();
        for size in (0..3).flat_map(|_| sizes()) {
            let held = held_of(&harness, heap, core::iter::repeat_n(size, (bytes / size).max(8)));
            held.into_iter().for_each(|block| harness.free(heap, block));
        }
        let kept = slab_bytes(&harness);
        // Of the last size, the magazine and its slabs; of 32 KiB blocks it holds four.
        assert!(kept <= HOARD[0] + 4 * MAGAZINE_BYTES, "{} KiB for {bytes} bytes", kept / 1024);
    }
}

#[test]
#[cfg_attr(miri, ignore = "megabytes")]
fn a_thread_that_works_with_the_same_each_time_has_it_at_hand() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    // Of 64 classes, 1 MiB at once.
    let batch = (0..2000).map(|at| 16 + at * 631 % 1008);
    let bytes: usize = batch.clone().sum();
    for round in 0..8 {
        let held = held_of(&harness, heap, batch.clone());
        held.into_iter().for_each(|block| harness.free(heap, block));
        let (_, used) = heap.slab_figures(&harness.allocator.arena);
        assert!(used >= bytes / 2, "{used} of {bytes} bytes are at hand after round {round}");
    }
}
