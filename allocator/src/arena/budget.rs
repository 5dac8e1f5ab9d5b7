//! How much dirty memory may stay: the bound that keeps an idle process small without a thread.
//!
//! Dirty is what is free but still has pages behind it: free runs of the arena, cached mappings. It
//! is checked wherever memory is freed, so a process that stops after its last free is inside the
//! bound already.

use super::Arena;
use super::state::State;
use crate::base::config::{DIRTY_FLOOR, DIRTY_SHIFT, GRANULE_SHIFT};
use crate::base::units::div_up;
use crate::os::Os;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Relaxed everywhere: sums and hints that a policy reads; nothing is published by them.
pub struct Budget {
    /// Bytes live, and bytes cached, outside of the arena: the large mappings.
    outside_live: AtomicUsize,
    outside_cached: AtomicUsize,
    /// Dirty memory was above its bound when a run was freed, or an end should go.
    over: AtomicBool,
    /// Dirty memory is above its bound, and none of it is the arena's to purge.
    pressed: AtomicBool,
    /// Runs in use may have free pages that are worth purging: whoever holds them looks.
    slack: AtomicBool,
    /// Much is free, more than is in use, and something keeps it from going back as addresses.
    pinned: AtomicBool,
}

impl Budget {
    pub const fn new() -> Self {
        Budget {
            outside_live: AtomicUsize::new(0),
            outside_cached: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            pressed: AtomicBool::new(false),
            slack: AtomicBool::new(false),
            pinned: AtomicBool::new(false),
        }
    }

    pub fn note_over(&self, over: bool) {
        self.over.store(over, Ordering::Relaxed);
    }

    pub fn note_pinned(&self, pinned: bool) {
        if self.pinned.load(Ordering::Relaxed) != pinned {
            self.pinned.store(pinned, Ordering::Relaxed);
        }
    }

    pub fn note_pressed(&self, pressed: bool) {
        self.pressed.store(pressed, Ordering::Relaxed);
    }
}

impl<O: Os> Arena<O> {
    /// Whether dirty memory passed its bound since it was last enforced, an end should go, or slack was
    /// noted. The thread that freed a run sees its own note, and others may leave it to that one.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.budget.over.load(Ordering::Relaxed)
    }

    /// Whether the last purge ended above the bound, so that what is cached elsewhere should go.
    #[inline]
    pub fn is_pressed(&self) -> bool {
        self.budget.pressed.load(Ordering::Relaxed)
    }

    /// Whether many addresses are free that something in use keeps: a few blocks that a thread has at hand,
    /// say.
    #[inline]
    pub fn is_pinned(&self) -> bool {
        self.budget.pinned.load(Ordering::Relaxed)
    }

    /// Says that runs in use may have pages to purge: to whoever asks whether it `is_over`.
    pub fn note_slack(&self) {
        self.budget.slack.store(true, Ordering::Relaxed);
        self.budget.note_over(true);
    }

    /// Whether that was said since the last call.
    pub fn take_slack(&self) -> bool {
        self.budget.slack.swap(false, Ordering::Relaxed)
    }

    /// Counts a large mapping in (or out) as live; as cached.
    pub fn count_outside(&self, live: isize, cached: isize) {
        self.budget.outside_live.fetch_add(live as usize, Ordering::Relaxed);
        self.budget.outside_cached.fetch_add(cached as usize, Ordering::Relaxed);
    }

    /// Sets both, in the child of a fork that may have copied them between a change and its count.
    pub fn recount_outside(&self, live: usize, cached: usize) {
        self.budget.outside_live.store(live, Ordering::Relaxed);
        self.budget.outside_cached.store(cached, Ordering::Relaxed);
    }

    /// Bytes that may be cached outside of the arena, at the present live size.
    pub fn cache_bound(&self) -> usize {
        let (in_use, dirty) = self.with_state(|state| bytes(state)).unwrap_or((0, 0));
        bound(in_use + self.budget.outside_live.load(Ordering::Relaxed)).saturating_sub(dirty)
    }

    /// Dirty pages beyond what the purge should leave, if the bound is passed.
    pub(super) fn excess(&self, state: &State) -> Option<u32> {
        let (in_use, dirty) = bytes(state);
        let bound = bound(in_use + self.budget.outside_live.load(Ordering::Relaxed));
        let dirty = dirty + self.budget.outside_cached.load(Ordering::Relaxed);
        (dirty > bound).then(|| div_up(dirty - target(bound), state.page) as u32)
    }
}

/// The arena's bytes in use, and its dirty bytes.
fn bytes(state: &State) -> (usize, usize) {
    ((state.in_use as usize) << GRANULE_SHIFT, state.dirty as usize * state.page)
}

/// Bytes of dirty memory allowed beside `live` bytes in use.
fn bound(live: usize) -> usize {
    (live >> DIRTY_SHIFT).max(DIRTY_FLOOR)
}

/// Down to where a purge goes, once the bound is passed: an eighth below, so that the next frees do
/// not each pay a system call.
fn target(bound: usize) -> usize {
    bound - bound / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_heap_keeps_the_floor_and_a_large_one_an_eighth() {
        assert_eq!(bound(0), DIRTY_FLOOR);
        assert_eq!(bound(1 << 30), 128 << 20);
        assert!(target(bound(0)) < bound(0));
    }
}
