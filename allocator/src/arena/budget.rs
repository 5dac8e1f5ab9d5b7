//! How much dirty memory may stay: the bound that keeps an idle process small without a thread.
//!
//! Dirty is what is free but still has pages behind it: free runs of the arena, what is free in chunks,
//! cached mappings. It is checked wherever memory is freed, so a process that stops after its last free is
//! inside the bound already.
#![forbid(unsafe_code)]

use super::allowance::Allowance;
use super::share::Share;
use super::sleeper::Sleeper;
use super::state::State;
use super::swing::{Limits, Swing};
use crate::base::keys::Key;
use crate::base::settings::Settings;
use crate::base::units::div_up;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Relaxed everywhere: sums and hints that a policy reads; nothing is published by them.
pub struct Budget {
    /// Bytes live, and bytes cached, outside of the arena: the large mappings.
    outside_live: AtomicUsize,
    outside_cached: AtomicUsize,
    /// Bytes that are free and dirty inside of runs in use: of chunks.
    in_chunks: AtomicUsize,
    /// Bytes that are free there, dirty or not.
    free_in_chunks: AtomicUsize,
    /// Bytes that are free and dirty inside of the slabs of sparse heaps, as far as those say so; and pages
    /// inside of slabs that were purged.
    in_slabs: AtomicUsize,
    purged_in_slabs: AtomicUsize,
    /// The arena's share as it was when its lock was last open.
    arena_used: AtomicUsize,
    arena_dirty: AtomicUsize,
    /// Dirty memory was above its bound when a run was freed, or an end should go.
    over: AtomicBool,
    /// Dirty memory is above its bound, and none of it is the arena's to purge.
    pressed: AtomicBool,
    /// Runs in use may have free pages that are worth purging: whoever holds them looks.
    slack: AtomicBool,
    /// Much is free, more than is in use, and something keeps it from going back as addresses.
    pinned: AtomicBool,
    /// More is dirty than may be without a swing.
    held: AtomicBool,
    /// When somebody looked last, in milliseconds.
    looked: AtomicUsize,
    /// Who is woken when memory is dirty.
    pub sleeper: Sleeper,
    pub swing: Swing,
    /// What threads may have at hand of medium blocks. It counts as dirty, up to half of what may be.
    pub allowance: Allowance,
}

impl Budget {
    pub const fn new() -> Self {
        Budget {
            outside_live: AtomicUsize::new(0),
            outside_cached: AtomicUsize::new(0),
            in_chunks: AtomicUsize::new(0),
            free_in_chunks: AtomicUsize::new(0),
            in_slabs: AtomicUsize::new(0),
            purged_in_slabs: AtomicUsize::new(0),
            arena_used: AtomicUsize::new(0),
            arena_dirty: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            pressed: AtomicBool::new(false),
            slack: AtomicBool::new(false),
            pinned: AtomicBool::new(false),
            held: AtomicBool::new(false),
            looked: AtomicUsize::new(0),
            sleeper: Sleeper::none(),
            swing: Swing::none(),
            allowance: Allowance::none(),
        }
    }

    pub fn note_over(&self) {
        raise(&self.over);
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

    /// Whether more is dirty than may be without a swing: whoever comes by a slow path looks whether it goes
    /// on.
    #[inline]
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// Notes it, after something became dirty.
    #[inline]
    pub fn note_held(&self, settings: &Settings, share: Share) {
        if self.swing.bound() > 0 && self.dirty(share) > self.least_bound(settings, share) {
            raise(&self.held);
        }
    }

    /// The same by what was published.
    #[inline]
    pub fn note_held_by_now(&self, settings: &Settings) {
        self.note_held(settings, self.published());
    }

    /// Follows the swing at a time, in milliseconds. What is too much then is over. Of looks at the same time
    /// the first one counts.
    pub fn look_at_swing(&self, settings: &Settings, now: usize) {
        if self.looked.load(Ordering::Relaxed) == now {
            return;
        }
        self.looked.store(now, Ordering::Relaxed);
        self.follow_swing(settings, now, || {});
        let share = self.published();
        let least = self.least_bound(settings, share);
        if self.excess_bytes(settings, share).is_some() {
            self.note_over();
        }
        self.held.store(self.swing.bound() > 0 && self.dirty_in_all(share) > least, Ordering::Relaxed);
    }

    /// So many dirty bytes went at a time.
    pub fn note_gone(&self, settings: &Settings, bytes: usize, now: usize) {
        self.follow_swing(settings, now, || self.swing.note_gone(bytes, self.limits(settings)));
    }

    /// So many bytes were taken at a time that nothing was behind.
    pub fn note_taken(&self, settings: &Settings, bytes: usize, now: usize) {
        self.follow_swing(settings, now, || self.swing.note_taken(bytes, self.limits(settings)));
    }

    /// Follows the time, in milliseconds, and what is noted. If less may stay then, what is too much is over.
    fn follow_swing(&self, settings: &Settings, now: usize, note: impl FnOnce()) {
        let (share, before) = (self.published(), self.swing.bound());
        self.swing.follow(now, self.used(share), self.dirty_in_all(share));
        note();
        let falls = self.swing.bound() < before;
        if falls && counted(&self.in_slabs) > 0 {
            self.note_slack();
        }
        if falls && self.excess_bytes(settings, share).is_some() {
            self.note_over();
        }
    }

    fn limits(&self, settings: &Settings) -> Limits {
        Limits { least: self.least_bound(settings, self.published()), most: settings.get(Key::Swing) }
    }

    /// Follows what is live and what is dirty.
    #[inline]
    fn follow(&self, share: Share) {
        if self.swing.is_watched() {
            self.swing.note_live(self.used(share));
            self.swing.note_dirty(self.dirty_in_all(share));
        }
    }

    /// Bytes that are dirty, in slabs too.
    fn dirty_in_all(&self, share: Share) -> usize {
        self.dirty(share).saturating_add(counted(&self.in_slabs))
    }

    /// Bytes that are live, and not free inside of chunks or slabs.
    fn used(&self, share: Share) -> usize {
        let in_use = share.in_use.saturating_add(self.outside_live.load(Ordering::Relaxed));
        let free = self.free_in_chunks.load(Ordering::Relaxed);
        let in_slabs = counted(&self.in_slabs).saturating_add(counted(&self.purged_in_slabs));
        in_use.saturating_sub(free).saturating_sub(in_slabs)
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
        self.follow(self.published());
    }

    /// Sets both, in the child of a fork.
    pub fn recount_outside(&self, live: usize, cached: usize) {
        self.outside_live.store(live, Ordering::Relaxed);
        self.outside_cached.store(cached, Ordering::Relaxed);
    }

    /// Says how many bytes are free inside of chunks, and how many of them are dirty.
    #[inline]
    pub fn set_in_chunks(&self, free: usize, dirty: usize) {
        self.free_in_chunks.store(free, Ordering::Relaxed);
        self.in_chunks.store(dirty, Ordering::Relaxed);
        self.follow(self.published());
    }

    /// Counts bytes that are free inside of the slabs of sparse heaps.
    pub fn count_in_slabs(&self, bytes: isize) {
        self.in_slabs.fetch_add(bytes as usize, Ordering::Relaxed);
        self.follow(self.published());
    }

    /// Counts bytes of pages inside of slabs that were purged, or that are used again.
    pub fn count_purged_in_slabs(&self, bytes: isize) {
        self.purged_in_slabs.fetch_add(bytes as usize, Ordering::Relaxed);
        self.follow(self.published());
    }

    /// Says how many bytes are free and dirty inside of the slabs of sparse heaps. Whether all may stay,
    /// because the program takes them again and again.
    pub fn may_stay_in_slabs(&self, settings: &Settings, bytes: usize) -> bool {
        self.in_slabs.store(bytes, Ordering::Relaxed);
        let share = self.published();
        let least = self.least_bound(settings, share);
        let most = self.bound_by_swing(share, least);
        let may_stay = most > least && self.dirty(share) + bytes <= most;
        if may_stay {
            self.held.store(true, Ordering::Relaxed);
        }
        may_stay
    }

    /// Says what the arena has, for those who ask without its lock.
    #[inline]
    pub fn publish(&self, share: Share) {
        self.arena_used.store(share.in_use, Ordering::Relaxed);
        self.arena_dirty.store(share.dirty, Ordering::Relaxed);
        self.follow(self.published());
    }

    /// Whether more is dirty than may be, by what was published.
    #[inline]
    pub fn is_exceeded(&self, settings: &Settings) -> bool {
        self.excess_bytes(settings, self.published()).is_some()
    }

    /// Bytes that a purge of chunks should leave dirty in them.
    pub fn chunks_target(&self, settings: &Settings) -> usize {
        let (share, cached) = (self.published(), self.outside_cached.load(Ordering::Relaxed));
        target(self.bound(settings, share)).saturating_sub(share.dirty + cached)
    }

    fn published(&self) -> Share {
        Share {
            in_use: self.arena_used.load(Ordering::Relaxed),
            dirty: self.arena_dirty.load(Ordering::Relaxed),
            ends_go: false,
        }
    }

    /// Bytes that may be cached outside of the arena, at the present live size.
    pub fn cache_bound(&self, settings: &Settings, share: Share) -> usize {
        self.bound(settings, share).saturating_sub(share.dirty + self.in_chunks.load(Ordering::Relaxed))
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

    /// Bytes that are dirty, in the arena, in chunks and outside of it.
    pub fn dirty(&self, share: Share) -> usize {
        let beside = [&self.outside_cached, &self.in_chunks].map(|bytes| bytes.load(Ordering::Relaxed));
        share.dirty + beside.iter().sum::<usize>()
    }

    /// The bound in force. Of what a swing may keep, slabs have their part first.
    fn bound(&self, settings: &Settings, share: Share) -> usize {
        let least = self.least_bound(settings, share);
        if self.swing.bound() <= least {
            return least;
        }
        least.max(self.bound_by_swing(share, least).saturating_sub(counted(&self.in_slabs)))
    }

    /// What a swing may keep in all, where `least` may stay without: that, and as much as live memory has
    /// fallen from its height. So the process has no more pages by it than it might have had at that height.
    fn bound_by_swing(&self, share: Share, least: usize) -> usize {
        let fallen = self.swing.high().saturating_sub(self.used(share));
        self.swing.bound().min(least.saturating_add(fallen))
    }

    /// The bound where nothing swings, for what no thread has at hand.
    fn least_bound(&self, settings: &Settings, share: Share) -> usize {
        let bound = bound(settings, share.in_use + self.outside_live.load(Ordering::Relaxed));
        bound - self.allowance.bytes().min(bound / 2)
    }

    fn excess_bytes(&self, settings: &Settings, share: Share) -> Option<usize> {
        let (bound, dirty) = (self.bound(settings, share), self.dirty(share));
        (dirty > bound).then(|| dirty - target(bound))
    }
}

/// Sets a flag. One that is set is not written: each free of a medium block reads some of them.
#[inline]
fn raise(flag: &AtomicBool) {
    if !flag.load(Ordering::Relaxed) {
        flag.store(true, Ordering::Relaxed);
    }
}

/// A sum that several threads count in and out, and that one of them sets anew meanwhile: it may be less than
/// nothing for a moment.
fn counted(bytes: &AtomicUsize) -> usize {
    (bytes.load(Ordering::Relaxed) as isize).max(0) as usize
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
