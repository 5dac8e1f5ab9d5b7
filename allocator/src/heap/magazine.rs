//! Magazines: what a thread has at hand of each class, two lists of at most `cap` blocks.
//!
//! ```text
//!   bin    head ──► block ──► block ──► null     room: how many frees it still takes
//!   spare  head ──► block ──► …                  a whole magazine, or none
//! ```
//!
//! Two, so that a program at the edge of one does not refill and flush in turn: an empty bin takes the
//! spare, a full one becomes it.
//!
//! Each list is right after every single store, in program order (a fork may copy it between any two):
//! a list is emptied before its blocks go elsewhere, so blocks can be lost in the child, never doubled.

use crate::arena::page_map::{BIN, Entry};
use crate::slab::free_list::{Chain, Link};
use core::cell::Cell;
use core::sync::atomic::{Ordering, compiler_fence};

#[repr(C)]
pub struct Bin {
    head: Cell<*mut Link>,
    /// Frees until the bin is full; below zero it is over-full by one, and must be emptied.
    room: Cell<i32>,
    /// The page-map entry of the blocks that belong here: this heap's, of this class.
    mine: Cell<u32>,
}

const _: () = assert!(size_of::<Bin>() == BIN);

impl Bin {
    /// A bin that is empty and that no block belongs to.
    pub const fn none() -> Self {
        Bin { head: Cell::new(core::ptr::null_mut()), room: Cell::new(0), mine: Cell::new(u32::MAX) }
    }

    pub fn assign(&self, entry: Entry) {
        self.mine.set(entry.0);
    }

    #[inline(always)]
    pub fn owns(&self, entry: Entry) -> bool {
        self.mine.get() == entry.0
    }

    /// A block, or null.
    #[inline(always)]
    pub fn pop(&self) -> *mut Link {
        let block = self.head.get();
        if !block.is_null() {
            // SAFETY: blocks in the bin are free and this thread's.
            self.head.set(unsafe { Link::next(block) });
            self.room.set(self.room.get() + 1);
        }
        block
    }

    /// Takes a block in. True where the bin is now over-full: the caller then empties it.
    ///
    /// # Safety
    /// `block` is free, belongs to this bin, and is given up by the caller.
    #[inline(always)]
    pub unsafe fn push(&self, block: *mut Link) -> bool {
        // SAFETY: the block is the caller's to give.
        unsafe { Link::set_next(block, self.head.get()) };
        // The link before the head: see the module's last paragraph.
        compiler_fence(Ordering::Release);
        self.head.set(block);
        let room = self.room.get() - 1;
        self.room.set(room);
        room < 0
    }

    pub fn is_empty(&self) -> bool {
        self.head.get().is_null()
    }

    /// Empties the bin, which was made for `cap` blocks.
    pub fn take(&self, cap: u32) -> Chain {
        let chain = Chain { head: self.head.get(), count: (cap as i32 - self.room.get()) as u32 };
        self.head.set(core::ptr::null_mut());
        self.room.set(cap as i32);
        compiler_fence(Ordering::Release);
        chain
    }

    /// Lets the bin hold `by` blocks more (or fewer).
    pub fn widen(&self, by: i32) {
        self.room.set(self.room.get() + by);
    }

    /// Fills the bin, which is empty, and lets it hold `cap` blocks.
    pub fn fill(&self, chain: Chain, cap: u32) {
        debug_assert!(self.is_empty());
        self.room.set(cap as i32 - chain.count as i32);
        self.head.set(chain.head);
    }
}

/// The spare magazine of a class, and how many blocks a magazine of the class holds at present.
pub struct Spare {
    head: Cell<*mut Link>,
    count: Cell<u16>,
    cap: Cell<u16>,
}

impl Spare {
    pub const fn new() -> Self {
        Spare { head: Cell::new(core::ptr::null_mut()), count: Cell::new(0), cap: Cell::new(0) }
    }

    pub fn is_empty(&self) -> bool {
        self.head.get().is_null()
    }

    pub fn take(&self) -> Chain {
        let chain = Chain { head: self.head.get(), count: self.count.get() as u32 };
        self.head.set(core::ptr::null_mut());
        self.count.set(0);
        compiler_fence(Ordering::Release);
        chain
    }

    /// Fills the spare, which is empty. A chain of more than 65535 blocks does not exist: a slab holds
    /// 4096 at most, a magazine 256.
    pub fn fill(&self, chain: Chain) {
        debug_assert!(self.is_empty() && chain.count <= u16::MAX as u32);
        self.count.set(chain.count as u16);
        self.head.set(chain.head);
    }

    pub fn cap(&self) -> u32 {
        self.cap.get() as u32
    }

    pub fn set_cap(&self, cap: u32) {
        self.cap.set(cap as u16);
    }
}
