//! Fresh blocks: those at hand that were never handed out. C's free must not take them for live ones.
//!
//! ```text
//!   young slab   │ handed out once … │ fresh, at hand │ not carved yet …      │
//!                 known ──┘           carved ──┘
//!   magazine     null │ carved-1 │ carved-2 │ … │ (freed ones)
//! ```
//!
//! The fast path takes a young slab's block below `known` if it has no stamp. Of the fresh ones only those
//! below it are stamped: they begin in the page of a block that was handed out, so that a stamp touches no
//! page that the program does not. What lies higher is looked up once, and moves the bound to the end of its
//! page.
#![allow(unsafe_code)]

use super::{Heap, Stamps};
use crate::base::config::{GRANULE, HOMING, PAGE};
use crate::base::size_class;
use crate::base::units::SizeClass;
use crate::slab::slot::Slot;
use crate::slab::{block_at, index_of, stamp};

impl Heap {
    /// Says whether blocks of this heap may be given to C's free.
    pub fn set_stamps(&self, stamps: Stamps) {
        self.owned.stamps.set(stamps);
    }

    /// A slab of this heap was carved so far, when the magazine was empty, and this block of it handed out.
    pub(super) fn note_carved(&self, class: SizeClass, carved: u16, block: *mut u8) {
        self.magazine(class).set_carved(carved);
        match self.owned.stamps.get() {
            Stamps::Kept => self.know_page(class, block),
            Stamps::None => self.set_known(class, carved),
        }
    }

    /// Before a magazine that has blocks is filled up: fresh ones would not be where `fresh` looks.
    pub(super) fn know_held(&self, class: SizeClass) {
        let magazine = self.magazine(class);
        self.know_all(class, magazine.carved().max(magazine.known()));
    }

    /// All that the magazine has is stamped, and none of it is looked for as fresh from here on. The young
    /// slab is carved so far.
    pub(super) fn know_all(&self, class: SizeClass, carved: u16) {
        if matches!(self.owned.stamps.get(), Stamps::Kept) {
            // SAFETY: free blocks of this thread's.
            let stamp = |slot: &Slot| unsafe { stamp::put(slot.get()) };
            self.magazine(class).blocks(self.bin(class)).iter().for_each(stamp);
        }
        self.magazine(class).set_carved(0);
        self.set_known(class, carved);
    }

    /// Whether the block at an index of this heap's young slab is fresh, and at hand.
    pub fn has_fresh(&self, class: SizeClass, block: *mut u8, index: usize) -> bool {
        self.fresh(class, index) == Some(block)
    }

    /// What is at hand where the fresh block of an index would be.
    fn fresh(&self, class: SizeClass, index: usize) -> Option<*mut u8> {
        let nth = (self.magazine(class).carved() as usize).checked_sub(index + 1)?;
        Some(self.magazine(class).blocks(self.bin(class)).get(nth)?.get())
    }

    /// A block of this heap's young slab was handed out, and so were the fresh ones below it: those that
    /// begin in its page are stamped if they are fresh still.
    pub fn know_page(&self, class: SizeClass, block: *mut u8) {
        let Some(index) = index_of(class, block.addr() % GRANULE) else { return };
        let more = block_at(class, PAGE - 1 - block.addr() % PAGE);
        for nth in 1..=more {
            let other = block.wrapping_add(nth * size_class::bytes(class));
            if self.has_fresh(class, other, index + nth) {
                // SAFETY: a free block of this thread's.
                unsafe { stamp::put(other) };
            }
        }
        let carved = self.magazine(class).carved() as usize;
        self.set_known(class, (index + more + 1).min(carved) as u16);
    }

    /// Whether this thread knows that the block at an index of a young slab of a class was handed out once,
    /// or has a stamp.
    pub fn knows(&self, class: SizeClass, index: usize) -> bool {
        index < self.magazine(class).known() as usize
    }

    /// Of another heap's young slab so many blocks were handed out. One bound serves for the young slabs of
    /// all heaps: this heap has one at most, and sets it anew when it carves from that.
    pub fn learn(&self, class: SizeClass, carved: u16) {
        self.set_known(class, carved.max(self.magazine(class).known()));
    }

    fn set_known(&self, class: SizeClass, known: u16) {
        self.magazine(class).set_known(known);
        if class < HOMING {
            self.bin(class).young.set(class, known);
        }
    }
}
