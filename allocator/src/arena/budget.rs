//! How much dirty memory may stay: the bound that keeps an idle process small without a thread.
//!
//! Dirty is what is free but still has pages behind it: free runs of the arena, cached mappings. It
//! is checked wherever memory is freed, so a process that stops after its last free is inside the
//! bound already.
#![forbid(unsafe_code)]

use super::sleeper::Sleeper;
use super::state::State;
use crate::base::config::GRANULE_SHIFT;
use crate::base::keys::Key;
use crate::base::settings::Settings;
use crate::base::units::div_up;
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
    /// Who is woken when memory is dirty.
    pub sleeper: Sleeper,
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
            sleeper: Sleeper::none(),
        }
    }

    pub fn note_over(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub fn clear_over(&self) {
        self.over.store(false, Ordering::Relaxed);
    }

    pub fn note_pinned(&self, pinned: bool) {
        if self.pinned.load(Ordering::Relaxed) != pinned {
            self.pinned.store(pinned, Ordering::Relaxed);
        }
    }

    pub fn note_pressed(&self) {
        self.pressed.store(true, Ordering::Relaxed);
    }

    pub fn clear_pressed(&self) {
        self.pressed.store(false, Ordering::Relaxed);
    }

    /// Whether dirty memory passed its bound since it was last enforced, an end should go, or slack was
    /// noted. The thread that freed a run sees its own note, and others may leave it to that one.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Whether the last purge ended above the bound, so that what is cached elsewhere should go.
    #[inline]
    pub fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// Whether many addresses are free that something in use keeps: a few blocks that a thread has at hand,
    /// say.
    #[inline]
    pub fn is_pinned(&self) -> bool {
        self.pinned.load(Ordering::Relaxed)
    }

    /// Says that runs in use may have pages to purge: to whoever asks whether it `is_over`.
    pub fn note_slack(&self) {
        self.slack.store(true, Ordering::Relaxed);
        self.note_over();
    }

    /// Whether that was said since the last call.
    pub fn take_slack(&self) -> bool {
        self.slack.swap(false, Ordering::Relaxed)
    }

    /// Counts a large mapping in (or out) as live; as cached.
    pub fn count_outside(&self, live: isize, cached: isize) {
        self.outside_live.fetch_add(live as usize, Ordering::Relaxed);
        self.outside_cached.fetch_add(cached as usize, Ordering::Relaxed);
    }

    /// Sets both, in the child of a fork that may have copied them between a change and its count.
    pub fn recount_outside(&self, live: usize, cached: usize) {
        self.outside_live.store(live, Ordering::Relaxed);
        self.outside_cached.store(cached, Ordering::Relaxed);
    }

    /// Bytes that may be cached outside of the arena, at the present live size.
    pub fn cache_bound(&self, settings: &Settings, share: Share) -> usize {
        self.bound(settings, share).saturating_sub(share.dirty)
    }

    /// Dirty pages beyond what the purge should leave, if the bound is passed.
    pub fn excess(&self, settings: &Settings, state: &State) -> Option<u32> {
        self.excess_bytes(settings, Share::of(state)).map(|bytes| div_up(bytes, state.page) as u32)
    }

    /// Whether there is anything to enforce, after a large mapping was freed: the arena's share is as it was
    /// before.
    pub fn asks(&self, settings: &Settings, share: Share) -> bool {
        let wakes = self.sleeper.is_asleep() && self.dirty(share) > 0;
        let asks = share.ends_go || wakes || self.is_over() || self.is_pressed();
        asks || self.excess_bytes(settings, share).is_some()
    }

    /// Bytes that are dirty, in the arena and outside of it.
    pub fn dirty(&self, share: Share) -> usize {
        share.dirty + self.outside_cached.load(Ordering::Relaxed)
    }

    fn bound(&self, settings: &Settings, share: Share) -> usize {
        bound(settings, share.in_use + self.outside_live.load(Ordering::Relaxed))
    }

    fn excess_bytes(&self, settings: &Settings, share: Share) -> Option<usize> {
        let (bound, dirty) = (self.bound(settings, share), self.dirty(share));
        (dirty > bound).then(|| dirty - target(bound))
    }
}

/// The arena's share of what is live and dirty, in bytes.
#[derive(Clone, Copy)]
pub struct Share {
    in_use: usize,
    dirty: usize,
    /// An end should go as addresses.
    ends_go: bool,
}

impl Share {
    /// Of an arena that has not started.
    pub const NOTHING: Share = Share { in_use: 0, dirty: 0, ends_go: false };

    pub fn of(state: &State) -> Share {
        Share {
            in_use: (state.in_use as usize) << GRANULE_SHIFT,
            dirty: state.dirty as usize * state.page,
            ends_go: state.ends_go,
        }
    }
}

/// Bytes of dirty memory allowed beside `live` bytes in use.
fn bound(settings: &Settings, live: usize) -> usize {
    ((live >> 10) * settings.get(Key::DirtyShare)).max(settings.get(Key::DirtyFloor))
}

/// Down to where a purge goes, once the bound is passed: an eighth below, so that the next frees do
/// not each pay a system call.
fn target(bound: usize) -> usize {
    bound - bound / 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::builder::Config;
    use crate::base::config::DIRTY_FLOOR;

    #[test]
    fn an_idle_heap_keeps_the_floor_and_a_large_one_an_eighth() {
        let settings = Settings::new();
        assert_eq!(bound(&settings, 0), DIRTY_FLOOR);
        assert_eq!(bound(&settings, 1 << 30), 128 << 20);
        assert!(target(DIRTY_FLOOR) < DIRTY_FLOOR);
    }

    #[test]
    fn both_are_what_is_set() {
        let settings = Settings::new();
        settings.take_code(&Config::new().dirty_floor(1 << 20).dirty_share(50));
        assert_eq!((bound(&settings, 0), bound(&settings, 1 << 30)), (1 << 20, 512 << 20));
        settings.take_code(&Config::new().dirty_floor(0).dirty_share(0));
        assert_eq!(bound(&settings, 0), 1 << 20, "what was said first stays");
    }
}
