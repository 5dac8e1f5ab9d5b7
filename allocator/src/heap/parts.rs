//! What a magazine has beside its bin while a profile is taken: see `aside`. In a row behind a heap's slots,
//! a bin's length each, so that what leads to a bin leads here too.
#![allow(unsafe_code)]

use super::magazine::SLOTS_BYTES;
use crate::arena::page_map::BIN;
use crate::base::config::PROFILE;
use crate::base::size_class::CLASSES;
use crate::slab::slot::Slot;
use crate::sync::stores::in_order;
use core::cell::Cell;

/// What a magazine has beside its bin. Zeros are that of a plain one.
#[repr(C, align(32))]
pub struct Aside {
    /// The slot for the next block that is put aside, and the end of the room for them.
    pub end: Cell<*const Slot>,
    pub limit: Cell<*const Slot>,
    /// The null below the blocks that are shown. Null itself in the plain form.
    pub stop: Cell<*const Slot>,
    /// Blocks that were shown.
    pub shown: Cell<u32>,
    /// Blocks that come before the next sample, those that are shown included.
    pub ahead: Cell<u32>,
}

/// A slot that is free for the next block. No reference, since the slots behind it are reached from it.
pub struct Room(*const Slot);

const _: () = assert!(size_of::<Aside>() == BIN, "an entry leads to both");

impl Aside {
    /// The slot for a block. None where there is no room, and in a plain magazine.
    #[inline(always)]
    pub fn room(&self) -> Option<Room> {
        let end = self.end.get();
        (end < self.limit.get()).then_some(Room(end))
    }

    /// Puts a block into the room for it.
    #[inline(always)]
    pub fn put(&self, Room(end): Room, block: *mut u8) {
        // SAFETY: it was below the limit, so it is a slot of this thread's magazine (I11).
        unsafe { (*end).set(block) };
        in_order();
        self.end.set(end.wrapping_add(1));
    }

    /// Takes a block in. False where there is no room.
    #[inline(always)]
    pub fn take(&self, block: *mut u8) -> bool {
        self.room().map(|room| self.put(room, block)).is_some()
    }
}

/// Bytes of a heap's row of them, behind its slots.
const BYTES: usize = if PROFILE { CLASSES * BIN } else { 0 };

/// From a heap's slots to its row.
pub const AT: usize = SLOTS_BYTES.next_multiple_of(BIN);

/// Bytes behind a heap.
pub const BEHIND: usize = if PROFILE { AT + BYTES } else { SLOTS_BYTES };
