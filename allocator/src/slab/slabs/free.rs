//! What is free in a heap's slabs, told by looking: for `malloc_info`, and for a block that may be free
//! already.
#![allow(unsafe_code)]

use super::Slabs;
use crate::base::checked::Checked;
use crate::base::config::GRANULE;
use crate::base::size_class::CLASSES;
use crate::base::units::{GranuleIdx, SizeClass};
use crate::os::Os;
use crate::slab::site::Site;
use crate::slab::{capacity, index_of};

/// Free blocks of each class, those that were never handed out included.
pub type FreeBlocks = Checked<usize, CLASSES>;

impl Slabs {
    /// Whether a block of this heap is in its slab.
    pub fn has<O: Os>(&mut self, site: &Site<O>, class: SizeClass, block: *mut u8) -> bool {
        if site.class_at(block) != Some(class) {
            // No block is out of what is no slab any more.
            return true;
        }
        // SAFETY: a slab of this heap, lock held (I10).
        let (slab, bits) = unsafe { site.parts(site.granule_of(block), class) };
        index_of(class, block.addr() % GRANULE).is_some_and(|at| slab.has(bits, at))
    }

    pub fn free_blocks<O: Os>(&self, site: &Site<O>) -> FreeBlocks {
        let mut free = Checked([0; CLASSES]);
        for class in (0..CLASSES as u8).map(SizeClass) {
            for first in self.lists.firsts(class) {
                let mut next = first;
                while let Some(granule) = next {
                    // SAFETY: a listed slab of this heap, whose lock is held: the caller has the `Slabs`.
                    // It is read only, and no other reference is alive.
                    let slab = unsafe { site.slab(granule) };
                    free[class.0 as usize] += (capacity(class) - slab.used) as usize;
                    next = slab.next.checked_sub(1).map(GranuleIdx);
                }
            }
        }
        free
    }
}
