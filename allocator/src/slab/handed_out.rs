//! How many blocks of a slab were ever handed out: what those may read of it who hold no lock.
//!
//! It stands apart from the record, in a cache line that is written where slabs are carved and at no other
//! time. Who holds a live block sees a mark above the block's index: the mark was stored before the block was
//! handed out, so whatever made the program hand the block over brought the mark along (edge MAP).
#![allow(unsafe_code)]

use crate::arena::Geometry;
use crate::base::units::GranuleIdx;
use core::sync::atomic::{AtomicU16, Ordering};

pub struct HandedOut<'a>(&'a AtomicU16);

impl HandedOut<'_> {
    /// The mark of a slab.
    ///
    /// # Safety
    /// The granule is a slab's.
    pub unsafe fn of<'a>(geometry: &Geometry, granule: GranuleIdx) -> HandedOut<'a> {
        // SAFETY: as the caller vouches; all access to marks is by these.
        HandedOut(unsafe { AtomicU16::from_ptr(geometry.mark(granule)) })
    }

    pub fn set(&self, carved: u16) {
        // Relaxed: see the module's head.
        self.0.store(carved, Ordering::Relaxed);
    }

    pub fn count(&self) -> u16 {
        // Relaxed: as above.
        self.0.load(Ordering::Relaxed)
    }

    /// Whether the block of this index was ever handed out.
    pub fn is_above(&self, index: usize) -> bool {
        index < self.count() as usize
    }
}
