//! Where things are: granules by their index from the origin, the tables of each.

use super::block::{BLOCK, Block, number_of, place_of};
use super::directory::Directory;
use crate::config::{BLOCK_GRANULES, GRANULE, GRANULE_SHIFT};
use crate::fatal;
use crate::units::GranuleIdx;

/// Bits of an address that the arena tells apart.
pub(super) const ADDRESS_BITS: u32 = 48;

/// Where things are. Set once.
#[derive(Clone, Copy)]
pub struct Geometry {
    /// The address that granules are counted from: the start of a block.
    pub(super) origin: usize,
    pub(super) directory: *const Directory,
}

// SAFETY: the directory's slots are atomics.
unsafe impl Send for Geometry {}
// SAFETY: as above.
unsafe impl Sync for Geometry {}

impl Geometry {
    /// Bytes from the origin to an address, modulo the address space.
    #[inline(always)]
    pub fn distance_of(&self, addr: usize) -> usize {
        addr.wrapping_sub(self.origin) & ((1 << ADDRESS_BITS) - 1)
    }

    /// The address at so many bytes from the origin.
    #[inline(always)]
    pub fn at_distance(&self, distance: usize) -> *mut u8 {
        let addr = self.origin.wrapping_add(distance) & ((1 << ADDRESS_BITS) - 1);
        core::ptr::with_exposed_provenance_mut(addr)
    }

    /// The granule of an address. Below the origin they are counted downward from the highest index.
    #[inline(always)]
    pub fn granule_of(&self, addr: usize) -> GranuleIdx {
        GranuleIdx((addr.wrapping_sub(self.origin) >> GRANULE_SHIFT) as u32)
    }

    /// The address of a granule's first byte.
    #[inline(always)]
    pub fn addr_of(&self, granule: GranuleIdx) -> usize {
        self.at_distance((granule.0 as usize) << GRANULE_SHIFT).addr()
    }

    /// A granule's first byte.
    #[inline(always)]
    pub fn start(&self, granule: GranuleIdx) -> *mut u8 {
        self.at_distance((granule.0 as usize) << GRANULE_SHIFT)
    }

    /// The record of a granule.
    ///
    /// # Safety
    /// The caller holds the granule.
    #[inline]
    pub unsafe fn record(&self, granule: GranuleIdx) -> *mut u8 {
        // SAFETY: as the caller vouches.
        unsafe { self.block_of(granule) }.record(place_of(granule))
    }

    /// The tables that describe a granule.
    ///
    /// # Safety
    /// The caller holds the granule.
    #[inline]
    unsafe fn block_of(&self, granule: GranuleIdx) -> Block {
        match self.directory().get(number_of(granule)) {
            Some(block) => block,
            None => fatal::unreachable_state(c"a granule without tables"),
        }
    }

    #[inline(always)]
    pub(super) fn directory(&self) -> &Directory {
        // SAFETY: mapped when the arena started, and never unmapped.
        unsafe { &*self.directory }
    }
}

/// The tables of the block that was asked about last: the next question is mostly about the same one.
pub struct LastTables {
    /// The block's addresses divided by its size.
    part: usize,
    block: Block,
}

impl LastTables {
    pub const NONE: LastTables = LastTables { part: usize::MAX, block: Block(core::ptr::null_mut()) };

    /// The record of the granule at an address.
    ///
    /// # Safety
    /// The caller holds the granule, and those that it asked about before.
    #[inline]
    pub unsafe fn record_of(&mut self, geometry: &Geometry, addr: usize) -> *mut u8 {
        if addr / BLOCK != self.part {
            // SAFETY: as the caller vouches.
            (self.part, self.block) = (addr / BLOCK, unsafe { geometry.block_of(geometry.granule_of(addr)) });
        }
        // The origin is the start of a block, so places are told by the address alone.
        self.block.record((addr / GRANULE) as u32 % BLOCK_GRANULES)
    }
}
