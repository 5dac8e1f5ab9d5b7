//! The site of a heap's slabs: where they are and whose.

use super::Slab;
use super::handed_out::HandedOut;
use crate::arena::page_map::Entry;
use crate::arena::{Arena, Geometry, Window};
use crate::os::Os;
use crate::units::{GranuleIdx, HeapId};

/// What every operation on slabs needs.
pub struct Site<'a, O: Os> {
    pub arena: &'a Arena<O>,
    pub geometry: Geometry,
    /// The newest window: most blocks are in it.
    pub window: Window,
    pub heap: HeapId,
}

impl<O: Os> Site<'_, O> {
    /// Bytes of a page.
    #[inline]
    pub fn page(&self) -> usize {
        self.arena.os.page()
    }

    /// The link that stands for a block in an inbox: its address, in the smallest block's units, plus one.
    #[inline]
    pub fn link(&self, block: *mut u8) -> u64 {
        block.addr() as u64 / 16 + 1
    }

    #[inline]
    pub fn block(&self, link: u64) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut((link - 1) as usize * 16)
    }

    #[inline]
    pub fn granule_of(&self, block: *mut u8) -> GranuleIdx {
        self.geometry.granule_of(block.addr())
    }

    /// The page-map entry of a block that came from the arena.
    #[inline]
    pub fn entry_of(&self, block: *mut u8) -> Entry {
        match self.window.place(block.addr()) {
            // SAFETY: inside the window.
            Some(place) => unsafe { self.window.map.get(place) },
            None => self.arena.entry_elsewhere(self.geometry, block.addr()),
        }
    }

    /// The record of a slab of this heap.
    ///
    /// # Safety
    /// The granule is a slab of this heap, whose lock the caller holds for as long as it uses the
    /// reference; no other reference to the record is alive.
    pub(super) unsafe fn slab<'s>(&self, granule: GranuleIdx) -> &'s mut Slab {
        // SAFETY: as the caller vouches. Whatever this module wrote there, and zeros, are a record.
        unsafe { &mut *self.geometry.record(granule).cast() }
    }

    /// Says how many blocks of a slab were handed out so far.
    ///
    /// # Safety
    /// As for `slab`.
    pub(super) unsafe fn mark(&self, granule: GranuleIdx, carved: u16) {
        // SAFETY: as the caller vouches.
        unsafe { HandedOut::of(&self.geometry, granule) }.set(carved);
    }
}
