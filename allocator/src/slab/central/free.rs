//! What is free in a heap's slabs, counted by looking: for `malloc_info`, which nobody waits for.

use super::{Central, Site};
use crate::os::Os;
use crate::row::Row;
use crate::size_class::CLASSES;
use crate::slab::capacity;
use crate::units::{GranuleIdx, SizeClass};

/// Free blocks of each class, those that were never handed out included.
pub type FreeBlocks = Row<usize, CLASSES>;

impl Central {
    pub fn free_blocks<O: Os>(&self, site: &Site<O>) -> FreeBlocks {
        let mut free = Row([0; CLASSES]);
        for class in (0..CLASSES as u8).map(SizeClass) {
            let mut next = self.classes[class.0 as usize].first;
            while let Some(granule) = next.checked_sub(1) {
                // SAFETY: a listed slab of this heap, whose lock is held: the caller has the `Central`. It is
                // read only, and no other reference is alive.
                let slab = unsafe { site.slab(GranuleIdx(granule)) };
                free[class.0 as usize] += (capacity(class) - slab.used) as usize;
                next = slab.next;
            }
        }
        free
    }
}
