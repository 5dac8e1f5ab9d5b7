//! How much a thread may keep at hand, over all classes: when everything in its magazines goes home.
//!
//! ```text
//!   slabs of the heap   │ with the program │ in magazines │ free │
//!      *sparse*          the first two are under a quarter: single cached blocks pin whole slabs
//!      *hoarded*         the first one is: a thread worked with many sizes, one after another
//! ```
//!
//! A heap may hoard twice what the program held of it at once, up to HELD_MOST: it may want it again. A
//! sweep that takes what is soon filled again has only cost time: it is *regretted* when half of what it
//! took was in magazines that opened again before the next one. After some of those a heap may hoard more.
//!
//! In a fork's child a heap is *sheltered* at first. A signal handler may have forked in the middle of a pop
//! or push, and what others do in the child of a fork (pthread_atfork(3)) comes before the handler returns:
//! they may move the magazines that they use themselves, and no other.
#![forbid(unsafe_code)]

use crate::base::checked::Checked;
use crate::base::config::{HELD_MOST, HOARD, HOARD_MOST, SPARSE_BYTES};
use crate::base::size_class::CLASSES;
use crate::base::units::SizeClass;
use core::cell::Cell;

/// Bytes within which a heap is not judged again: where magazines are closed, each free would be.
const QUIET: usize = 16 * 1024;
/// Times that a sheltered heap would have been judged: a mebibyte of blocks that came and went.
const SHELTER: u8 = 64;
/// No number of bytes is within `QUIET` of it.
const NEVER: usize = usize::MAX / 2;

pub struct AtHand {
    /// Bytes of blocks that the magazines can hold as they are.
    capacity: Cell<usize>,
    /// Bytes outside of the slabs when a sparse heap was last swept; `usize::MAX` where it was filled since.
    swept_at: Cell<usize>,
    /// What the slabs were last judged to be, for as long as so many bytes are outside of them or up to
    /// `QUIET` more.
    last: Cell<Density>,
    last_from: Cell<usize>,
    /// Bytes of slabs from which on what was hoarded goes home again.
    again_at: Cell<usize>,
    /// What sweeps took of each class since one took what was hoarded, in units of the smallest block,
    /// until it opens again.
    taken: Checked<Cell<u16>, CLASSES>,
    /// What they took in all, and what of that opened since.
    taken_in_all: Cell<u32>,
    opened: Cell<u32>,
    regrets: Cell<u8>,
    /// The most bytes that were seen with the program since then, and the bytes of slabs at which it is
    /// looked at again.
    held: Cell<usize>,
    look_at: Cell<usize>,
    sheltered: Cell<u8>,
    /// Blocks that the magazines can hold which opened again since a sparse heap was swept.
    reopened: Cell<u32>,
}

/// What a heap's slabs are like.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Density {
    Dense,
    /// Mostly free: blocks kept at hand would pin whole slabs.
    Sparse,
    /// So since a moment ago, or again, or hoarded: what is at hand now should go home.
    Turned,
}

impl AtHand {
    pub const fn new() -> AtHand {
        AtHand {
            capacity: Cell::new(0),
            swept_at: Cell::new(usize::MAX),
            last: Cell::new(Density::Dense),
            last_from: Cell::new(NEVER),
            again_at: Cell::new(0),
            taken: Checked([const { Cell::new(0) }; CLASSES]),
            taken_in_all: Cell::new(0),
            opened: Cell::new(0),
            regrets: Cell::new(0),
            held: Cell::new(0),
            look_at: Cell::new(HOARD[0]),
            sheltered: Cell::new(0),
            reopened: Cell::new(0),
        }
    }

    /// Makes it as it was at first.
    pub fn forget(&self) {
        let new = AtHand::new();
        self.capacity.set(new.capacity.get());
        self.swept_at.set(new.swept_at.get());
        self.last.set(new.last.get());
        self.last_from.set(new.last_from.get());
        self.again_at.set(new.again_at.get());
        self.taken.0.iter().for_each(|taken| taken.set(0));
        self.taken_in_all.set(0);
        self.opened.set(0);
        self.regrets.set(0);
        self.held.set(new.held.get());
        self.look_at.set(new.look_at.get());
        self.sheltered.set(0);
        self.reopened.set(0);
    }

    /// From here on the heap is sheltered: it is the calling thread's, in a fork's child.
    pub fn shelter(&self) {
        self.sheltered.set(SHELTER);
    }

    /// Whether a heap that is to be judged is sheltered still.
    pub fn is_sheltered(&self) -> bool {
        let left = self.sheltered.get();
        self.sheltered.set(left.saturating_sub(1));
        left > 0
    }

    /// A magazine that could hold `before` bytes can hold `now`.
    #[inline]
    pub fn resize(&self, class: SizeClass, before: usize, now: usize) {
        // A fork may have come between a magazine's change and this: then it is an estimate.
        self.capacity.set((self.capacity.get() + now).saturating_sub(before));
        if before == 0 {
            let opened = self.taken[class.0 as usize].take();
            self.opened.set(self.opened.get().saturating_add(opened as u32));
        }
    }

    /// Whether it is worth to look at what the program holds, where the slabs have come to so many bytes.
    #[inline]
    pub fn asks(&self, slabs: usize) -> bool {
        slabs > self.look_at.get()
    }

    /// Notes how many bytes the program holds of slabs of so many.
    pub fn look(&self, slabs: usize, held: usize) {
        self.held.set(self.held.get().max(held));
        // Rarely, and not at all where more would change nothing.
        let enough = self.held.get() * 2 >= HELD_MOST;
        self.look_at.set(if enough { usize::MAX } else { slabs + slabs / 4 });
    }

    /// Whether a magazine that was closed may open again for what the thread frees: not while the heap only
    /// gets emptier.
    pub fn may_open(&self) -> bool {
        self.swept_at.get() == usize::MAX
    }

    /// What a heap with so many bytes outside of its slabs was a moment ago, and still is.
    #[inline]
    pub fn as_before(&self, used: usize) -> Option<Density> {
        (used.wrapping_sub(self.last_from.get()) < QUIET).then(|| self.last.get())
    }

    /// Takes a sheltered heap for dense.
    pub fn pass(&self, used: usize) -> Density {
        self.say(Density::Dense, used, 0)
    }

    /// So a heap was judged. It stays so until fewer bytes than `least` are outside of its slabs.
    fn say(&self, density: Density, used: usize, least: usize) -> Density {
        self.last.set(density);
        let from = used.saturating_sub(QUIET - 1).max(least);
        self.last_from.set(if density == Density::Turned { NEVER } else { from });
        density
    }

    /// Whether a heap that looks sparse is to be taken for it. Where a sweep just took what was hoarded there
    /// is nothing at hand, and slabs count only as far as they may have memory.
    pub fn may_be_sparse(&self, slabs: usize, used: usize) -> bool {
        self.again_at.get() == 0 || slabs > SPARSE_BYTES && used * 4 < slabs
    }

    /// Judges a heap of which blocks came back to its slabs, and which is sparse: with so many bytes
    /// outside of them. Below `noted` there is something else to note.
    pub fn judge_sparse(&self, used: usize, noted: usize) -> Density {
        if used >= self.swept_before(used) / 2 {
            return self.say(Density::Sparse, used, noted.max(self.swept_at.get() / 2));
        }
        self.swept_at.set(used);
        self.reopened.set(0);
        self.say(Density::Turned, used, 0)
    }

    /// How many blocks more the magazines of a sparse heap may hold, of so many in all.
    pub fn room_to_reopen(&self, in_all: u32) -> u32 {
        in_all.saturating_sub(self.reopened.get())
    }

    pub fn note_reopened(&self, blocks: u32) {
        self.reopened.set(self.reopened.get().saturating_add(blocks));
    }

    /// The bytes outside of the slabs at the last sweep, unless so many were taken since that it does not
    /// count.
    fn swept_before(&self, used: usize) -> usize {
        if used > self.swept_at.get().saturating_mul(2) {
            self.swept_at.set(usize::MAX);
        }
        self.swept_at.get()
    }

    /// Judges a heap of which blocks came back to its slabs, and which is not sparse: by the bytes of slabs
    /// that may have memory, and those outside of them. What is in magazines is counted only where it
    /// matters.
    pub fn judge(&self, slabs: usize, used: usize, in_magazines: impl Fn() -> usize) -> Density {
        self.swept_before(used);
        let held = (self.held.get() * 2).min(HELD_MOST);
        let may_keep = HOARD[self.regrets.get() as usize % HOARD.len()].max(held);
        if slabs <= may_keep {
            self.again_at.set(0);
            return self.say(Density::Dense, used, 0);
        }
        if slabs > HOARD_MOST || used.saturating_sub(self.capacity.get()) * 4 >= slabs {
            return self.say(Density::Dense, used, 0);
        }
        let hoarded = self.is_hoard(slabs, used, in_magazines);
        self.say(if hoarded { Density::Turned } else { Density::Dense }, used, 0)
    }

    #[inline(never)]
    fn is_hoard(&self, slabs: usize, used: usize, in_magazines: impl Fn() -> usize) -> bool {
        // A heap that a sweep left with more than it may keep is not swept for that again and again.
        let grown = slabs + HOARD[0] / 2;
        if slabs < self.again_at.get() {
            self.again_at.set(self.again_at.get().min(grown));
            return false;
        }
        let held = used.saturating_sub(in_magazines());
        if held * 4 >= slabs {
            return false;
        }
        self.held.set(held);
        self.look_at.set(HOARD[0]);
        self.again_at.set(grown);
        // This is no heap that only gets emptier.
        self.swept_at.set(usize::MAX);
        let regrets = self.regrets.get();
        let (taken, opened) = (self.taken_in_all.take(), self.opened.take());
        let regretted = taken > 0 && opened >= taken / 2;
        let most = HOARD.len() as u8 - 1;
        self.regrets.set(if regretted { (regrets + 1).min(most) } else { regrets.saturating_sub(1) });
        self.taken.0.iter().for_each(|taken| taken.set(0));
        true
    }

    /// A sweep took so many bytes of a class, whose magazine is closed.
    pub fn take(&self, class: SizeClass, bytes: usize) {
        let (units, taken) = ((bytes / 16) as u16, &self.taken[class.0 as usize]);
        taken.set(taken.get().saturating_add(units));
        self.taken_in_all.set(self.taken_in_all.get().saturating_add(units as u32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASS: SizeClass = SizeClass(4);
    const KIB: usize = 1024;

    /// A heap all of whose blocks are in magazines, which can hold just these.
    fn judge(at_hand: &AtHand, slabs: usize, in_magazines: usize) -> Density {
        at_hand.resize(CLASS, at_hand.capacity.get(), in_magazines);
        at_hand.judge(slabs, in_magazines, || in_magazines)
    }

    #[test]
    fn what_a_heap_hoards_goes_home_from_a_bound_on() {
        let at_hand = AtHand::new();
        assert_eq!(judge(&at_hand, HOARD[0], 200 * KIB), Density::Dense);
        assert_eq!(judge(&at_hand, HOARD[0] + 1, 200 * KIB), Density::Turned);
        // The sweep left as many slabs: not again before they are more.
        assert_eq!(judge(&at_hand, HOARD[0] + 1, 100 * KIB), Density::Dense);
        assert_eq!(judge(&at_hand, HOARD[0] * 3 / 2 + 1, 200 * KIB), Density::Turned);
    }

    #[test]
    fn a_heap_of_which_the_program_holds_a_quarter_hoards_nothing() {
        let at_hand = AtHand::new();
        at_hand.resize(CLASS, 0, 2 * HOARD[0]);
        assert_eq!(at_hand.judge(2 * HOARD[0], HOARD[0], || HOARD[0] / 2), Density::Dense);
        assert_eq!(at_hand.judge(2 * HOARD[0], HOARD[0] / 2 + QUIET, || QUIET + 1), Density::Turned);
    }

    #[test]
    fn what_the_program_held_at_once_may_be_hoarded() {
        let at_hand = AtHand::new();
        assert!(!at_hand.asks(HOARD[0]) && at_hand.asks(HOARD[0] + 1));
        at_hand.look(600 * KIB, 400 * KIB);
        assert!(!at_hand.asks(700 * KIB), "not at each refill");
        assert_eq!(judge(&at_hand, 800 * KIB, 300 * KIB), Density::Dense);
        assert_eq!(judge(&at_hand, 800 * KIB + 1, 300 * KIB), Density::Turned);
        assert_eq!(judge(&at_hand, HOARD[0], 0), Density::Dense);
        assert_eq!(judge(&at_hand, 800 * KIB, 300 * KIB), Density::Turned, "that was before the sweep");
    }

    #[test]
    fn sweeps_that_are_regretted_become_rare() {
        let at_hand = AtHand::new();
        let mut sweeps = 0;
        for _ in 0..20 {
            assert_eq!(judge(&at_hand, HOARD[0] / 2, 0), Density::Dense);
            if judge(&at_hand, HOARD[0] + 1, 400 * KIB) == Density::Turned {
                sweeps += 1;
                at_hand.resize(CLASS, 400 * KIB, 0);
                at_hand.take(CLASS, 400 * KIB);
                at_hand.resize(CLASS, 0, 400 * KIB);
            }
        }
        assert!(sweeps < 5, "{sweeps} of 20");
        // Then it works with another size each time.
        for class in (1..20).map(SizeClass) {
            at_hand.again_at.set(0);
            if judge(&at_hand, HOARD_MOST, 400 * KIB) == Density::Turned {
                at_hand.take(class, 400 * KIB);
            }
        }
        assert_eq!(judge(&at_hand, HOARD[0] / 2, 0), Density::Dense);
        assert_eq!(judge(&at_hand, HOARD[0] + 1, 400 * KIB), Density::Turned);
    }

    #[test]
    fn a_sparse_heap_is_swept_each_time_that_half_has_come_back() {
        let at_hand = AtHand::new();
        assert_eq!(at_hand.judge_sparse(400 * KIB, 0), Density::Turned);
        assert!(!at_hand.may_open(), "it only gets emptier");
        assert_eq!(at_hand.judge_sparse(201 * KIB, 0), Density::Sparse);
        assert_eq!(at_hand.as_before(200 * KIB), Some(Density::Sparse));
        assert_eq!(at_hand.as_before(200 * KIB - 1), None);
        assert_eq!(at_hand.judge_sparse(200 * KIB - 1, 0), Density::Turned);
        // Twice as much again: it is used.
        assert_eq!(at_hand.judge(4 * HOARD[0], 400 * KIB, || 0), Density::Turned);
        assert!(at_hand.may_open());
    }
}
