//! The swing: what a program gives back and takes again, over and over. So much may stay dirty while it goes
//! on.
//!
//! ```text
//!   live     ╭─╮   ╭─╮   ╭─╮   ╭──────
//!           ─╯ ╰───╯ ╰───╯ ╰───╯
//!   went      17    0     0            bytes that were dirty above the bound, and were purged
//!   again        17    0     0         of those, what is taken again before two periods have passed
//!   bound     7  24    24    24    0   grows by that; shrinks by what lies unused for a whole period
//! ```
//!
//! It grows to no more than live memory goes up and down by, and what may stay without a swing: a program
//! that ends with a longer fall leaves no more. Two cases are not followed, because most of what would be
//! held is of no use. A fall by more than the most there may be: keeping a part of it spares a part of the
//! faults. A rise to half of the bound above the height of the swing: that is growth.
//!
//! Time is asked for only where pages went, where clean ones are taken a short time after that, and by slow
//! paths while more is dirty than without a swing. Where nobody looked for two periods, nothing swings.
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Milliseconds after which what lay unused is not of the swing. What went is remembered for one to two.
const PERIOD: usize = 100;

/// Relaxed everywhere: figures that a policy reads. Where two threads change one at once, one change is lost.
pub struct Swing {
    /// Bytes that may be dirty; 0 where nothing swings.
    bound: AtomicUsize,
    /// That is more than 0, or something went.
    watched: AtomicBool,
    /// Bytes that went in this period and in the one before, and were not taken again.
    went: [AtomicUsize; 2],
    /// They were too many at a time. Until all are taken again, or forgotten, none counts.
    deep: AtomicBool,
    /// The most that was live when the bound grew last, or less since.
    height: AtomicUsize,
    /// The least that was dirty in this period.
    least: AtomicUsize,
    /// The most and the least that was live, in this period and in the one before.
    high: [AtomicUsize; 2],
    low: [AtomicUsize; 2],
    /// When it began, in milliseconds.
    since: AtomicUsize,
}

/// What the swing is measured against, in bytes.
#[derive(Clone, Copy)]
pub struct Limits {
    /// The bound without a swing.
    pub least: usize,
    /// The most that may be dirty by a swing.
    pub most: usize,
}

impl Swing {
    pub const fn none() -> Self {
        Swing {
            bound: AtomicUsize::new(0),
            watched: AtomicBool::new(false),
            went: [const { AtomicUsize::new(0) }; 2],
            deep: AtomicBool::new(false),
            height: AtomicUsize::new(0),
            least: AtomicUsize::new(0),
            high: [const { AtomicUsize::new(0) }; 2],
            low: [const { AtomicUsize::new(0) }; 2],
            since: AtomicUsize::new(0),
        }
    }

    /// Bytes that may be dirty by it; 0 where nothing swings.
    #[inline]
    pub fn bound(&self) -> usize {
        self.bound.load(Ordering::Relaxed)
    }

    /// Whether anything went of late, or something swings: then it is to be told what is taken.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    fn look(&self) {
        self.watched.store(self.bound() > 0 || self.went() > 0, Ordering::Relaxed);
    }

    /// Forgets all.
    pub fn forget(&self) {
        self.watched.store(false, Ordering::Relaxed);
        self.bound.store(0, Ordering::Relaxed);
        self.went.iter().for_each(|went| went.store(0, Ordering::Relaxed));
        self.deep.store(false, Ordering::Relaxed);
    }

    /// So many bytes are live.
    #[inline]
    pub fn note_live(&self, live: usize) {
        let ([high, _], [low, _]) = (&self.high, &self.low);
        if live > high.load(Ordering::Relaxed) {
            high.store(live, Ordering::Relaxed);
        }
        if live < low.load(Ordering::Relaxed) {
            low.store(live, Ordering::Relaxed);
        }
    }

    /// The most that was live of late.
    pub fn high(&self) -> usize {
        self.high.iter().map(|high| high.load(Ordering::Relaxed)).fold(0, usize::max)
    }

    fn low(&self) -> usize {
        self.low.iter().map(|low| low.load(Ordering::Relaxed)).fold(usize::MAX, usize::min)
    }

    /// So many bytes are dirty after some were taken.
    pub fn note_dirty(&self, dirty: usize) {
        if dirty < self.least.load(Ordering::Relaxed) {
            self.least.store(dirty, Ordering::Relaxed);
        }
    }

    /// Follows the time, in milliseconds. So many bytes are live, and so many dirty.
    pub fn follow(&self, now: usize, live: usize, dirty: usize) {
        let passed = now.wrapping_sub(self.since.load(Ordering::Relaxed));
        if passed < PERIOD {
            return;
        }
        self.since.store(now, Ordering::Relaxed);
        let unused = self.least.swap(dirty, Ordering::Relaxed);
        let is_over = passed >= 2 * PERIOD;
        for [this, before] in [&self.high, &self.low] {
            let was = this.swap(live, Ordering::Relaxed);
            before.store(if is_over { live } else { was }, Ordering::Relaxed);
        }
        if is_over {
            return self.forget();
        }
        let height = self.height.load(Ordering::Relaxed);
        self.height.store(height.min(self.high()), Ordering::Relaxed);
        self.bound.store(self.bound().saturating_sub(unused), Ordering::Relaxed);
        self.went[1].store(self.went[0].swap(0, Ordering::Relaxed), Ordering::Relaxed);
        if self.went() == 0 {
            self.deep.store(false, Ordering::Relaxed);
        }
        self.look();
    }

    /// Bytes went that were dirty.
    pub fn note_gone(&self, bytes: usize, limits: Limits) {
        self.went[0].store(self.went[0].load(Ordering::Relaxed).saturating_add(bytes), Ordering::Relaxed);
        if self.bound().max(limits.least).saturating_add(self.went()) > limits.most {
            self.deep.store(true, Ordering::Relaxed);
        }
        self.look();
    }

    /// Bytes were taken that were clean.
    pub fn note_taken(&self, bytes: usize, limits: Limits) {
        let again = self.take_again(bytes);
        if again > 0 && !self.deep.load(Ordering::Relaxed) {
            let bound = self.bound().max(limits.least).saturating_add(again).min(limits.most);
            let swings = self.high().saturating_sub(self.low()).saturating_add(limits.least);
            self.bound.store(bound.min(swings.max(self.bound())), Ordering::Relaxed);
            self.height.store(self.high(), Ordering::Relaxed);
        }
        if self.went() == 0 {
            self.deep.store(false, Ordering::Relaxed);
        }
        if self.high().saturating_sub(self.height.load(Ordering::Relaxed)) > self.bound() / 2 {
            self.bound.store(0, Ordering::Relaxed);
        }
        self.look();
    }

    /// How many of these went a short time ago. They count no more.
    fn take_again(&self, bytes: usize) -> usize {
        self.went.iter().rev().fold(0, |again, place| {
            let went = place.load(Ordering::Relaxed);
            let these = went.min(bytes - again);
            place.store(went - these, Ordering::Relaxed);
            again + these
        })
    }

    fn went(&self) -> usize {
        let went = self.went.iter().map(|went| went.load(Ordering::Relaxed));
        went.fold(0, usize::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;
    /// What is live at first.
    const START: usize = 2 << 30;
    const LIMITS: Limits = Limits { least: 7 * MIB, most: 64 * MIB };

    /// A program whose free memory goes down to 0 and up to `high` bytes, of which the bound lets some stay.
    struct Program {
        swing: Swing,
        now: usize,
        dirty: usize,
        live: usize,
    }

    impl Program {
        fn new() -> Program {
            let swing = Swing::none();
            swing.note_live(START);
            swing.follow(1_000_000, START, 0);
            Program { swing, now: 1_000_000, dirty: 0, live: START }
        }

        fn bound(&self) -> usize {
            self.swing.bound().max(LIMITS.least)
        }

        fn wait(&mut self, millis: usize) {
            self.now += millis;
            self.swing.follow(self.now, self.live, self.dirty);
        }

        /// Frees bytes, a mebibyte at a time. How many of them went.
        fn free(&mut self, bytes: usize) -> usize {
            self.swing.follow(self.now, self.live, self.dirty);
            self.live -= bytes;
            self.swing.note_live(self.live);
            let before = self.dirty + bytes;
            self.dirty = before.min(self.bound());
            let went = before - self.dirty;
            (0..went / MIB).for_each(|_| self.swing.note_gone(MIB, LIMITS));
            went
        }

        fn take(&mut self, bytes: usize) {
            self.swing.follow(self.now, self.live, self.dirty);
            for _ in 0..bytes / MIB {
                self.live += MIB;
                self.swing.note_live(self.live);
                let clean = MIB.saturating_sub(self.dirty);
                self.dirty -= MIB - clean;
                self.swing.note_dirty(self.dirty);
                self.swing.note_taken(clean, LIMITS);
            }
        }

        /// Frees bytes and takes them again, so often, at intervals. What went of the last ones.
        fn swing(&mut self, bytes: usize, times: usize, millis: usize) -> usize {
            let mut went = 0;
            for _ in 0..times {
                went = self.free(bytes);
                self.wait(millis);
                self.take(bytes);
            }
            went
        }
    }

    #[test]
    fn what_is_taken_again_soon_may_stay_from_then_on() {
        let mut program = Program::new();
        assert_eq!(program.free(24 * MIB), 17 * MIB);
        program.wait(20);
        program.take(24 * MIB);
        assert_eq!(program.swing.bound(), 24 * MIB);
        assert_eq!(program.swing(24 * MIB, 1000, 20), 0, "and does for as long as it swings");
        assert_eq!(program.swing.bound(), 24 * MIB);
    }

    #[test]
    fn the_bound_follows_a_wider_swing_and_a_narrower_one() {
        let mut program = Program::new();
        program.swing(12 * MIB, 10, 10);
        assert_eq!(program.swing.bound(), 12 * MIB);
        assert_eq!(program.swing(36 * MIB, 10, 10), 0);
        assert_eq!(program.swing.bound(), 36 * MIB);
        program.free(36 * MIB);
        for _ in 0..30 {
            program.wait(10);
            program.take(10 * MIB);
            program.free(10 * MIB);
        }
        assert_eq!(program.swing.bound(), 10 * MIB, "26 MiB lay unused");
    }

    #[test]
    fn what_is_freed_once_goes() {
        let mut program = Program::new();
        assert_eq!(program.free(1 << 30), (1 << 30) - 7 * MIB);
        assert!(program.swing.is_watched());
        program.wait(1000);
        assert!(!program.swing.is_watched() && program.swing.bound() == 0);
        program.take(100 * MIB);
        assert_eq!(program.swing.bound(), 0, "what went too long ago is not taken again");
    }

    #[test]
    fn a_swing_that_is_slower_than_two_periods_is_none() {
        let mut program = Program::new();
        assert_eq!(program.swing(24 * MIB, 50, 2 * PERIOD), 17 * MIB);
        assert_eq!(program.swing(24 * MIB, 50, PERIOD - 1), 0);
    }

    #[test]
    #[cfg_attr(miri, ignore = "many rounds")]
    fn a_swing_of_more_than_the_most_is_not_followed() {
        for bytes in [65, 66, 100, 128, 200, 1000] {
            for millis in [1, 30, 99, 150, 250] {
                let mut program = Program::new();
                let went = program.swing(bytes * MIB, 20, millis);
                assert_eq!(went, (bytes - 7) * MIB, "{bytes} MiB each {millis} ms");
            }
        }
        let mut program = Program::new();
        assert_eq!(program.swing(64 * MIB, 20, 10), 0, "the most itself is");
    }

    #[test]
    #[cfg_attr(miri, ignore = "many rounds")]
    fn a_slow_fall_and_rise_of_more_than_the_most_is_growth() {
        for step in [1, 3, 7, 20, 50] {
            let mut program = Program::new();
            for _ in 0..10 {
                for _ in 0..128 {
                    program.now += step;
                    program.free(MIB);
                }
                assert!(program.dirty <= 7 * MIB, "{} stay, {step} ms each", program.dirty);
                for _ in 0..128 {
                    program.now += step;
                    program.take(MIB);
                }
            }
        }
    }

    #[test]
    fn behind_the_last_swing_the_bound_shrinks_by_what_lies_unused() {
        let mut program = Program::new();
        program.swing(24 * MIB, 10, 10);
        program.free(24 * MIB);
        let mut waited = 0;
        while program.swing.bound() > 0 {
            // Little is taken and freed meanwhile: slow paths that look.
            program.wait(5);
            program.take(MIB);
            program.free(MIB);
            waited += 5;
            assert!(program.bound() < 24 * MIB || waited <= 2 * PERIOD, "after {waited} ms");
            assert!(waited <= 4 * PERIOD, "{} after {waited} ms", program.swing.bound());
        }
        let mut program = Program::new();
        program.swing(24 * MIB, 10, 10);
        program.free(24 * MIB);
        program.wait(2 * PERIOD);
        assert_eq!(program.swing.bound(), 0, "or at the first look, if nobody looked for so long");
    }

    #[test]
    fn a_program_that_grows_beside_a_small_swing_holds_no_more() {
        let mut program = Program::new();
        program.free(20 * MIB);
        program.take(100 * MIB);
        assert_eq!(program.swing.bound(), 0, "13 of 93 MiB went before");
    }
}
