//! The outbox: blocks of other heaps that this thread freed, collected into chains on their way home.
//!
//! One slot for each page-map entry (that is: heap and class) that hashes to it; another entry evicts
//! the chain, which is then sent. All are sent together when they hold enough bytes, and on every slow
//! path, so that a thread that only frees, or falls asleep, holds little back.

use crate::arena::page_map::Entry;
use crate::config::{OUTBOX_BYTES, OUTBOX_SLOTS};
use crate::slab::free_list::{Chain, Link};
use core::cell::Cell;

struct Slot {
    head: Cell<*mut Link>,
    count: Cell<u32>,
    entry: Cell<Entry>,
}

pub struct Outbox {
    slots: [Slot; OUTBOX_SLOTS],
    bytes: Cell<u32>,
    /// Bytes from which on everything is sent.
    limit: Cell<u32>,
}

/// A chain and whom it goes to.
pub struct Parcel {
    pub entry: Entry,
    pub chain: Chain,
}

impl Outbox {
    pub const fn new() -> Self {
        Outbox {
            slots: [const {
                Slot {
                    head: Cell::new(core::ptr::null_mut()),
                    count: Cell::new(0),
                    entry: Cell::new(Entry::FREE),
                }
            }; OUTBOX_SLOTS],
            bytes: Cell::new(0),
            limit: Cell::new(OUTBOX_BYTES),
        }
    }

    /// Adds a block of `size` bytes. What had to make room for it, if anything.
    ///
    /// # Safety
    /// The block is free, of the heap and class that `entry` names, and given up by the caller.
    #[inline]
    pub unsafe fn add(&self, entry: Entry, block: *mut Link, size: usize) -> Option<Parcel> {
        let slot = &self.slots[slot_of(entry)];
        let evicted = if slot.entry.get() == entry { None } else { self.evict(slot) };
        slot.entry.set(entry);
        // SAFETY: the block is the caller's to give.
        unsafe { Link::set_next(block, slot.head.get()) };
        slot.head.set(block);
        slot.count.set(slot.count.get() + 1);
        self.bytes.set(self.bytes.get() + size as u32);
        evicted
    }

    #[inline]
    pub fn is_full(&self) -> bool {
        self.bytes.get() >= self.limit.get()
    }

    /// While a receiver's slabs are mostly free every block is sent at once: one that waits here may pin
    /// a whole slab there.
    pub fn hurry(&self, sparse: bool) {
        self.limit.set(if sparse { 0 } else { OUTBOX_BYTES });
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.get() == 0
    }

    fn evict(&self, slot: &Slot) -> Option<Parcel> {
        let chain = Chain { head: slot.head.get(), count: slot.count.get() };
        slot.head.set(core::ptr::null_mut());
        slot.count.set(0);
        (!chain.head.is_null()).then_some(Parcel { entry: slot.entry.get(), chain })
    }

    /// Empties every slot.
    pub fn drain(&self, mut send: impl FnMut(Parcel)) {
        self.bytes.set(0);
        for slot in &self.slots {
            if let Some(parcel) = self.evict(slot) {
                send(parcel);
            }
        }
    }

    /// Forgets what is in it: in a fork's child, where its thread was caught changing it.
    pub fn forget(&self) {
        self.drain(drop);
    }
}

/// Multiplying by an odd constant spreads neighbouring classes and heaps over the slots.
#[inline]
fn slot_of(entry: Entry) -> usize {
    (entry.0.wrapping_mul(0x9e37_79b1) >> (32 - OUTBOX_SLOTS.ilog2())) as usize
}
