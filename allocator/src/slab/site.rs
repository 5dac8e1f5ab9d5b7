//! The site of a heap's slabs: where they are and whose.
//!
//! Invariant I10: a slab's record and its bits are touched with its heap's lock held, by one reference at a
//! time. Only how many blocks were handed out is a word for all.
#![allow(unsafe_code)]

use super::noted::Noted;
use super::record::{Slab, parts_of};
use super::starts::index_of;
use crate::arena::page_map::Entry;
use crate::arena::{Arena, Geometry, Window};
use crate::base::config::GRANULE;
use crate::base::units::{GranuleIdx, HeapId, SizeClass};
use crate::os::Os;
use crate::slab::handed_out::HandedOut;

/// What every operation on slabs needs.
pub struct Site<'a, O: Os> {
    pub arena: &'a Arena<O>,
    pub geometry: Geometry,
    /// The newest window: most blocks are in it.
    pub window: Window,
    pub heap: HeapId,
    /// What is wrong and was found, to be reported when no lock is held.
    pub noted: &'a Noted,
}

impl<O: Os> Site<'_, O> {
    /// The same operation at another heap's slabs.
    pub fn of(&self, heap: HeapId) -> Self {
        Site { heap, ..*self }
    }

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

    /// The page-map entry at an address; of a slab, that of a grown one.
    #[inline]
    pub fn entry_of(&self, block: *mut u8) -> Entry {
        let entry = match self.window.place(block.addr()) {
            // SAFETY: inside the window.
            Some(place) => unsafe { self.window.map.get(place) },
            None => self.arena.entry_elsewhere(self.geometry, block.addr()),
        };
        entry.grown()
    }

    /// The class of the block of this heap's that begins at an address, of any address. None where none does.
    #[inline]
    pub fn class_at(&self, block: *mut u8) -> Option<SizeClass> {
        let (heap, class) = self.entry_of(block).as_slab()?;
        (heap == self.heap && index_of(class, block.addr() % GRANULE).is_some()).then_some(class)
    }

    /// What no program has by accident: it seals what lies in free blocks.
    #[inline]
    pub fn secret(&self) -> u64 {
        (self.geometry.secret() ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xD6E8_FEB8_6659_FD93)
    }

    /// The record of a slab of this heap (I10).
    ///
    /// # Safety
    /// The granule is a slab of this heap, whose lock the caller holds for as long as it uses the
    /// reference; no other reference to the record is alive.
    pub(super) unsafe fn slab<'s>(&self, granule: GranuleIdx) -> &'s mut Slab {
        // SAFETY: as the caller vouches. Whatever `slabs` wrote there, and zeros, are a record.
        unsafe { &mut *self.geometry.record(granule).cast() }
    }

    /// The same with its bits, of a slab of a class.
    ///
    /// # Safety
    /// As for `slab`, and its bits.
    #[inline]
    pub(super) unsafe fn parts<'s>(
        &self,
        granule: GranuleIdx,
        class: SizeClass,
    ) -> (&'s mut Slab, &'s mut [u64]) {
        // SAFETY: as the caller vouches.
        unsafe { parts_of(&self.geometry, granule, class) }
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
