//! Magazines: what a thread has at hand of each class, as an array of pointers.
//!
//! ```text
//!   slots   null │ block │ block │ block │ stale │ stale │ …
//!            base            top ──┘        limit ──┘
//! ```
//!
//! A magazine's end is its bin, where blocks come and go. Whose slab a block is of does not matter here: a
//! thread takes what it frees, and hands it out again. Owners are told apart when a magazine overflows.
//!
//! Invariant I11: a magazine is written by its thread alone, and right after every single store, in program
//! order (a fork may copy it between any two).
#![allow(unsafe_code)]

use super::bin::{BOTTOM, Bin};
use crate::base::config::{MAGAZINE_CAP, MAGAZINE_FIRST, PROFILE};
use crate::base::size_class::{ByClass, CLASSES};
use crate::base::units::SizeClass;
use crate::slab::slot::Slot;
use core::cell::Cell;

/// The rest of a magazine: where its slots are, and how many of them it may fill at present.
pub struct Magazine {
    base: Cell<*const Slot>,
    cap: Cell<u32>,
    /// Of the heap's young slab, see `fresh`.
    known: Cell<u16>,
    carved: Cell<u16>,
}

impl Magazine {
    pub const fn none() -> Self {
        Magazine {
            base: Cell::new(&raw const BOTTOM),
            cap: Cell::new(0),
            known: Cell::new(0),
            carved: Cell::new(0),
        }
    }

    pub fn cap(&self) -> u32 {
        self.cap.get()
    }

    pub fn known(&self) -> u16 {
        self.known.get()
    }

    pub fn set_known(&self, known: u16) {
        self.known.set(known);
    }

    pub fn carved(&self) -> u16 {
        self.carved.get()
    }

    pub fn set_carved(&self, carved: u16) {
        self.carved.set(carved);
    }

    /// How many blocks `bin`, this magazine's, has.
    pub fn len(&self, bin: &Bin) -> u32 {
        ((bin.top().addr() - self.base.get().addr()) / size_of::<Slot>()) as u32
    }

    /// The blocks of `bin`, this magazine's, the newest last.
    pub fn blocks<'a>(&'a self, bin: &'a Bin) -> &'a [Slot] {
        // SAFETY: the slots from above the base to the top are the magazine's, and filled.
        unsafe { core::slice::from_raw_parts(self.base.get().add(1), self.len(bin) as usize) }
    }

    /// The slots that a refill may fill, from the top up.
    pub fn room<'a>(&'a self, bin: &'a Bin) -> &'a [Slot] {
        let room = self.cap.get() - self.len(bin).min(self.cap.get());
        // SAFETY: from above the top to the limit the slots are the magazine's.
        unsafe { core::slice::from_raw_parts(bin.top().add(1), room as usize) }
    }

    /// Takes the first `count` blocks of the room in.
    pub fn fill(&self, bin: &Bin, count: u32) {
        // SAFETY: the caller filled so many slots of `room`.
        bin.set_top(unsafe { bin.top().add(count as usize) });
    }

    /// Forgets the oldest `count` blocks, which went elsewhere.
    pub fn drop_oldest(&self, bin: &Bin, count: u32) {
        let (len, gone) = (self.len(bin) as usize, (count as usize).min(self.len(bin) as usize));
        // As plain words, which is faster: who looks into a magazine trusts nothing while its heap is busy.
        // SAFETY: above the base there are `len` slots of the magazine; those that stay move down among them.
        unsafe {
            let oldest = self.base.get().add(1);
            core::ptr::copy(oldest.add(gone), oldest.cast_mut(), len - gone);
        }
        // SAFETY: as many slots fewer as went.
        bin.set_top(unsafe { bin.top().sub(gone) });
    }

    /// Lets `bin`, this magazine's, hold `cap` blocks: at least those it has, and at most its class's
    /// `MAGAZINE_CAP`. A small magazine's slots are beside those of other classes, a larger one's apart.
    pub fn set_cap(&self, bin: &Bin, slots: Slots, class: SizeClass, cap: u32) {
        let len = self.len(bin) as usize;
        let base = if cap <= MAGAZINE_FIRST { slots.first(class) } else { slots.full(class) };
        if base != self.base.get() {
            // SAFETY: `cap` blocks fit there, and nothing else is there.
            unsafe { core::ptr::copy_nonoverlapping(self.base.get().add(1), base.add(1).cast_mut(), len) };
            self.base.set(base);
            // SAFETY: the blocks were copied there.
            bin.set_top(unsafe { base.add(len) });
        }
        self.cap.set(cap);
        // SAFETY: the region holds `cap` slots above its base.
        bin.set_limit(unsafe { base.add(cap as usize) });
    }

    /// Forgets what it has, and takes nothing.
    pub fn close(&self, bin: &Bin, slots: Slots, class: SizeClass) {
        let base = slots.first(class);
        self.base.set(base);
        self.cap.set(0);
        bin.set_top(base);
        bin.set_limit(base);
    }
}

/// Slots of a magazine that holds `cap` blocks: one more, the null below them.
const fn slots_for(cap: usize) -> usize {
    cap + 1
}

const FIRST_SLOTS: usize = slots_for(MAGAZINE_FIRST as usize);

/// Where the full-sized magazine of each class begins, in slots, and how many slots there are in all. One
/// more than it fills, for the second null that it has while a profile is taken (`aside`).
const FULL: (ByClass<u32>, usize) = {
    let mut starts = [0; 256];
    let mut next = FIRST_SLOTS * CLASSES;
    let mut class = 0;
    while class < CLASSES {
        starts[class] = next as u32;
        if MAGAZINE_CAP[class] as u32 > MAGAZINE_FIRST {
            next += slots_for(MAGAZINE_CAP[class] as usize) + PROFILE as usize;
        }
        class += 1;
    }
    (starts, next)
};

const FULL_STARTS: ByClass<u32> = FULL.0;

/// Bytes of the slots that magazines begin with, of all classes.
pub const FIRST_BYTES: usize = FIRST_SLOTS * CLASSES * size_of::<Slot>();

/// Bytes of a heap's slots.
pub const SLOTS_BYTES: usize = FULL.1 * size_of::<Slot>();

/// A heap's slots: they lie behind it, and read as null before their first use.
///
/// ```text
///   │ class 0: null + 15 │ class 1: null + 15 │ … │ class 0: null + 2048 │ class 1: … │
/// ```
///
/// Small magazines lie side by side, so that a program that uses little of many classes touches few pages.
#[derive(Clone, Copy)]
pub struct Slots(pub *const Slot);

impl Slots {
    fn first(self, class: SizeClass) -> *const Slot {
        self.0.wrapping_add(class.0 as usize * FIRST_SLOTS)
    }

    fn full(self, class: SizeClass) -> *const Slot {
        self.0.wrapping_add(FULL_STARTS[class.0 as usize] as usize)
    }

    /// How many blocks a magazine of a class has whose newest one is in this slot. None of what is no slot
    /// of it.
    pub fn blocks_up_to(self, class: SizeClass, top: *const Slot) -> u32 {
        let above = |base: *const Slot| top.addr().wrapping_sub(base.addr()) / size_of::<Slot>();
        let (first, full) = (above(self.first(class)), above(self.full(class)));
        let cap = MAGAZINE_CAP[class.0 as usize] as usize;
        match (first < FIRST_SLOTS, full < slots_for(cap) && cap > MAGAZINE_FIRST as usize) {
            (true, _) => first as u32,
            (false, true) => full as u32,
            (false, false) => 0,
        }
    }
}
