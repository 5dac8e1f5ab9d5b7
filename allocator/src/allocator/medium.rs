//! Medium blocks: above 32 KiB and below the threshold, 256 KiB at most.
#![allow(unsafe_code)]

use super::{Allocator, Freer, Resized, Unlike};
use crate::base::allocated::Allocated;
use crate::base::fatal;
use crate::base::size_class;
use crate::base::units::{Bytes, GranuleIdx};
use crate::base::why::Cause;
use crate::heap::Heap;
use crate::medium::{Free, MediumClass, Side, Spot, State, look_up};
use crate::os::Os;
use core::iter::once;
use core::ptr::with_exposed_provenance_mut;

impl<O: Os> Allocator<O> {
    /// A block of a class, for a thread with a heap or without.
    pub(super) fn alloc_medium(&self, heap: Option<&Heap>, class: MediumClass) -> Option<Allocated> {
        match heap {
            Some(heap) => {
                heap.pop_medium(class).or_else(|| heap.alloc_medium(&self.arena, &self.medium, class))
            }
            None => self.medium.alloc(&self.arena, class, Side::NONE, 0, |_| {}),
        }
    }

    /// The block that begins at an address in a granule, the `place`-th of its chunk. None where none begins.
    #[inline]
    pub(super) fn medium_at(&self, granule: GranuleIdx, place: u32, block: *mut u8) -> Option<(Spot, State)> {
        // SAFETY: a chunk by its entry, which stays so for who holds a block of it. A wrong pointer may lead
        // to a chunk that goes meanwhile; records of what was gained can be read.
        unsafe { look_up(&self.arena.started(), granule, place, block.addr()) }
    }

    /// Frees the block that begins at such an address.
    #[inline]
    pub(super) fn free_medium(&self, freer: Freer, granule: GranuleIdx, place: u32, block: *mut u8) {
        let spot = match self.medium_at(granule, place, block) {
            Some((spot, State::Out)) => spot,
            Some(_) => fatal::wrong_use(c"free(): double free detected", block),
            None => fatal::wrong_use(c"free(): invalid pointer", block),
        };
        match freer {
            Freer::Heap(heap) => {
                // With the arena's own provenance.
                let block = with_exposed_provenance_mut(block.addr());
                let free = Free { block, spot, clean: false };
                heap.free_medium(&self.arena, &self.medium, free);
            }
            Freer::Visitor | Freer::Consumer => self.medium.free(&self.arena, once(spot)),
        }
        self.purge_excess(Cause::Medium(Bytes(spot.class.bytes())));
    }

    /// As `resize`, for a block of a chunk.
    pub(super) fn resize_medium(&self, block: *mut u8, class: MediumClass, size: usize) -> Resized {
        let usable = class.bytes();
        if size > usable || size <= size_class::CLASS_MAX || size >= self.arena.settings.mmap_threshold() {
            return Resized::Copy { usable };
        }
        if MediumClass::of(size) != Some(class) {
            // One that stays at least half used is not worth a copy.
            if size * 2 < usable {
                return Resized::Copy { usable };
            }
            self.sizes.note(Unlike::Halved);
        }
        Resized::To(block)
    }
}
