//! A glance at a heap by any thread: no lock is taken, but where each class is asked for.

use super::magazine::Slots;
use super::remote::WEIGHT;
use super::{Heap, RUNNING};
use crate::arena::Arena;
use crate::base::size_class::{self, CLASSES};
use crate::base::units::SizeClass;
use crate::medium::MediumClass;
use crate::os::Os;
use crate::slab::noted::Noted;
use crate::slab::slabs::OfClass;
use core::sync::atomic::Ordering;

/// What a heap has, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapFigures {
    pub slabs: usize,
    /// Those that may have memory behind them.
    pub resident: usize,
    /// Blocks of its slabs that are with a program, in a magazine of any thread, or on their way home.
    pub used: usize,
    /// Blocks of any heap's slabs in this one's magazines.
    pub at_hand: usize,
    /// Medium blocks that its thread has at hand.
    pub medium: usize,
    /// Blocks that came home and are kept as they came: in its depot.
    pub kept: usize,
    /// Blocks on their way home: in its inbox.
    pub waiting: usize,
    /// The kernel's number of its thread, or 0 where there is none.
    pub thread: u32,
}

/// Blocks of a class.
#[derive(Clone, Copy, Debug)]
pub struct OfOneClass {
    pub granules: u32,
    /// Of this heap's slabs: outside of them, and not in its depot.
    pub used: u32,
    /// In this heap's magazine, and in its depot.
    pub at_hand: u32,
    pub kept: u32,
}

impl Heap {
    /// A glance without a lock: each figure is right as of some moment, and they need not fit each other
    /// while the heap is at work.
    pub fn glance(&self) -> HeapFigures {
        let slabs = &self.shared.slabs;
        // Relaxed: a hint for people. The lower half is the thread's number, see `Os::thread`.
        let running = self.shared.state.load(Ordering::Relaxed) == RUNNING;
        let thread = self.shared.thread.load(Ordering::Relaxed) as u32;
        HeapFigures {
            slabs: slabs.slab_bytes(),
            resident: slabs.resident_bytes(),
            used: slabs.used_bytes(),
            at_hand: self.bytes_at_hand(),
            medium: self.medium_at_hand().map(MediumClass::bytes).sum(),
            kept: slabs.kept_bytes(),
            waiting: self.shared.inbox.waiting() as usize * WEIGHT,
            thread: if running { thread } else { 0 },
        }
    }

    /// The class of each medium block that its thread has at hand.
    pub fn medium_at_hand(&self) -> impl Iterator<Item = MediumClass> {
        self.owned.medium.classes()
    }

    /// Says that the magazine of a class may have something from now on.
    pub(super) fn note_open(&self, class: SizeClass) {
        self.change_open(class, |word, bit| word | bit);
    }

    /// Says that it has nothing.
    pub(super) fn note_closed(&self, class: SizeClass) {
        self.change_open(class, |word, bit| word & !bit);
    }

    /// The same of all classes.
    pub(super) fn note_all_closed(&self) {
        self.owned.open.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    fn change_open(&self, class: SizeClass, change: impl FnOnce(u64, u64) -> u64) {
        if let Some(word) = self.owned.open.get(class.0 as usize / 64) {
            // Its own thread alone writes it.
            let now = change(word.load(Ordering::Relaxed), 1 << (class.0 % 64));
            word.store(now, Ordering::Relaxed);
        }
    }

    fn bytes_at_hand(&self) -> usize {
        let mut sum = 0;
        for (word, first) in self.owned.open.iter().zip((0..).step_by(64)) {
            let mut open = word.load(Ordering::Relaxed);
            while open != 0 {
                let class = SizeClass((first + open.trailing_zeros()) as u8);
                sum += self.blocks_at_hand(class) * size_class::bytes(class);
                open &= open - 1;
            }
        }
        sum
    }

    /// Blocks in this heap's magazine of a class. Any thread may ask: the newest block's slot tells, by where
    /// the slots are.
    fn blocks_at_hand(&self, class: SizeClass) -> usize {
        let slots = Slots(core::ptr::from_ref(self).wrapping_add(1).cast());
        slots.blocks_up_to(class, self.bin(class).top_seen()) as usize
    }

    /// What there is of each class, read at once under the heap's lock but for the magazines. What waits
    /// comes home first.
    pub fn classes<O: Os>(&self, arena: &Arena<O>, mut each: impl FnMut(SizeClass, OfOneClass)) {
        let noted = Noted::nothing();
        let site = self.site(arena, &noted);
        self.drain(&site);
        let mut rows = [(OfClass { granules: 0, used: 0 }, 0); CLASSES];
        {
            let slabs = self.shared.slabs.lock();
            for (class, row) in (0..).map(SizeClass).zip(&mut rows) {
                *row = slabs.of_class(class);
            }
        }
        // A sender that found the lock taken has left its parcel to whoever held it.
        self.drain(&site);
        for (class, (of, kept)) in (0..).map(SizeClass).zip(rows) {
            let (used, at_hand) = (of.used.saturating_sub(kept), self.blocks_at_hand(class) as u32);
            each(class, OfOneClass { granules: of.granules, used, at_hand, kept });
        }
    }
}
