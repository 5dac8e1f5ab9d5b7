//! A place for a block: of a magazine, or of a row that blocks are handed over in.
//!
//! One thread alone writes it. Others may read it, to look for a block (`heap/look.rs`), so it is an atomic
//! word.

use core::sync::atomic::{AtomicPtr, Ordering};

#[repr(transparent)]
pub struct Slot(pub AtomicPtr<u8>);

impl Slot {
    pub const fn empty() -> Slot {
        Slot::new(core::ptr::null_mut())
    }

    pub const fn new(block: *mut u8) -> Slot {
        Slot(AtomicPtr::new(block))
    }

    #[inline(always)]
    pub fn get(&self) -> *mut u8 {
        // Relaxed: nothing is published by a slot; edge HELD orders it where that matters.
        self.0.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub fn set(&self, block: *mut u8) {
        // Relaxed: as above.
        self.0.store(block, Ordering::Relaxed);
    }

    /// Exchanges what two places of the same thread have.
    #[inline]
    pub fn swap(&self, other: &Slot) {
        let block = self.get();
        self.set(other.get());
        other.set(block);
    }
}
