//! Memory goes back to the system when it is freed: no wait, no thread that does it later.

use std::alloc::GlobalAlloc;

use super::blocks::Blocks;
use super::{KIB, MIB, get, put, touch};
use crate::measure;
use crate::random::Random;
use crate::table::Table;

/// What may stay resident over the live bytes: the promise of the README. Inside it are 6.5 MiB of free memory
/// kept for reuse, 1.5 MiB for all else: page map, heap, magazines, partly used slabs.
const SLACK: usize = 8 * MIB;

/// Allocates 1 GiB of blocks of one kind, frees all of them in random order, and looks at once.
pub fn all<A: GlobalAlloc>(alloc: &A, kind: &str) {
    fill_and_free(alloc, kind, 1 << 30, measure::resident());
}

/// The same with less, over and over: what was taken again goes back again.
pub fn again<A: GlobalAlloc>(alloc: &A) {
    let before = measure::resident();
    for _ in 0..6 {
        fill_and_free(alloc, "small", 128 * MIB, before);
    }
}

fn fill_and_free<A: GlobalAlloc>(alloc: &A, kind: &str, total: usize, before: usize) {
    let mut random = Random::new(1);
    let blocks = Blocks::take(alloc, kind, &mut random, total);
    let peak = measure::resident() - before;
    assert!(peak >= total, "only {} MiB were resident at the peak: this test measures nothing", peak / MIB);
    blocks.free(alloc, &mut random);
    let after = measure::resident().saturating_sub(before);
    assert!(after <= SLACK, "{} KiB are still resident after all {kind} blocks were freed", after / KIB);
}

/// Freed mappings kept for reuse: at most 6.5 MiB, or an eighth of what is live.
pub fn large_cache<A: GlobalAlloc>(alloc: &A) {
    let mut blocks = Table::<*mut u8>::new(256);
    let live = 64 * MIB;
    let kept = get(alloc, live);
    // SAFETY: live and of this size.
    unsafe { touch(kept, live) };
    let before = measure::resident();
    for block in blocks.iter_mut() {
        *block = get(alloc, MIB);
        // SAFETY: live and of this size.
        unsafe { touch(*block, MIB) };
    }
    for block in blocks.iter() {
        // SAFETY: got above, given up here.
        unsafe { put(alloc, *block, MIB) };
    }
    // One block over the bound may be counted before it is dropped; the rest is for the records.
    let bound = (4 * MIB).max(live / 8) + MIB + 512 * KIB;
    let after = measure::resident().saturating_sub(before);
    assert!(after <= bound, "{} KiB of freed mappings are still resident", after / KIB);
    // SAFETY: got above, given up here.
    unsafe { put(alloc, kept, live) };
}
