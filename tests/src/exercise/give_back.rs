//! Memory goes back to the system when it is freed: no wait, no thread that does it later.

use std::alloc::GlobalAlloc;
use std::time::Duration;

use super::blocks::Blocks;
use super::{KIB, MIB, end_swing, get, put, touch};
use crate::measure;
use crate::random::Random;
use crate::table::Table;

/// What may stay resident over the live bytes: by the README 7 MiB of free memory and less than 1 MiB at hand. Seldom
/// both are that full, so there is room for all else: page map, heap, partly used slabs.
const SLACK: usize = 8 * MIB;

/// Allocates 1 GiB of blocks of one kind, frees all of them in random order, and looks at once.
pub fn all<A: GlobalAlloc>(alloc: &A, kind: &str) {
    fill_and_free(alloc, kind, 1 << 30, measure::anonymous());
}

/// The same with less, over and over: what was taken again goes back again.
pub fn again<A: GlobalAlloc>(alloc: &A) {
    let before = measure::anonymous();
    for _ in 0..6 {
        fill_and_free(alloc, "small", 128 * MIB, before);
    }
}

fn fill_and_free<A: GlobalAlloc>(alloc: &A, kind: &str, total: usize, before: usize) {
    let mut random = Random::new(1);
    let blocks = Blocks::take(alloc, kind, &mut random, total);
    let peak = measure::anonymous() - before;
    assert!(peak >= total, "only {} MiB were resident at the peak: this test measures nothing", peak / MIB);
    blocks.free(alloc, &mut random);
    let after = measure::anonymous().saturating_sub(before);
    assert!(after <= SLACK, "{} KiB are still resident after all {kind} blocks were freed", after / KIB);
}

/// Freed mappings kept for reuse: at most 6.5 MiB, or an eighth of what is live.
pub fn large_cache<A: GlobalAlloc>(alloc: &A) {
    let mut blocks = Table::<*mut u8>::new(256);
    let live = 64 * MIB;
    let kept = get(alloc, live);
    // SAFETY: live and of this size.
    unsafe { touch(kept, live) };
    let before = measure::anonymous();
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
    let after = measure::anonymous().saturating_sub(before);
    assert!(after <= bound, "{} KiB of freed mappings are still resident", after / KIB);
    // SAFETY: got above, given up here.
    unsafe { put(alloc, kept, live) };
}

/// What is taken and freed again and again stays while that goes on, and no more than that of a process which does
/// nothing then; its next slow path gives it back.
pub fn swing<A: GlobalAlloc>(alloc: &A, kind: &str) {
    let (total, before) = (24 * MIB, measure::anonymous());
    let mut random = Random::new(1);
    let mut round = || {
        let blocks = Blocks::take(alloc, kind, &mut random, total);
        let taken = measure::minor_faults();
        blocks.free(alloc, &mut random);
        taken
    };
    // A machine that others use may be too slow for it at times.
    let most_faults = total / (4 * KIB) / 4;
    let settles = (0..200).any(|_| {
        let faults = measure::minor_faults();
        round() - faults < most_faults
    });
    assert!(settles, "{} MiB of {kind} blocks are faulted in again each time", total / MIB);
    std::thread::sleep(Duration::from_millis(300));
    let stay = measure::anonymous().saturating_sub(before);
    assert!(stay <= total + total / 8 + 2 * MIB, "{} KiB stay of a swing of {} MiB", stay / KIB, total / MIB);
    end_swing(alloc);
    let after = measure::anonymous().saturating_sub(before);
    // As in the README: 7 MiB of free memory, and less than 1 at hand; the rest is for slabs in use, and for tables.
    assert!(
        after <= 9 * MIB,
        "{} KiB are still resident when the swing of {kind} blocks is over",
        after / KIB
    );
}
