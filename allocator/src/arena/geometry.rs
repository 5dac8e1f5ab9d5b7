//! Where things are: granules by their index, the tables of each.
#![allow(unsafe_code)]

use super::block::{BLOCK, Block, Table, number_of, place_of};
use super::directory::Directory;
use crate::base::config::{BLOCK_GRANULES, GRANULE, GRANULE_SHIFT};
use crate::base::fatal;
use crate::base::units::GranuleIdx;

/// Bits of an address that the arena tells apart.
pub(super) const ADDRESS_BITS: u32 = 48;

/// Where things are. Set once.
///
/// Granules are counted from address 0. So each index is below `u32::MAX`: no memory is at the last 64 KiB of
/// all addresses.
#[derive(Clone, Copy)]
pub struct Geometry {
    pub(super) directory: Directory,
}

// SAFETY: the directory's slots are atomics.
unsafe impl Send for Geometry {}
// SAFETY: the slots are atomics.
unsafe impl Sync for Geometry {}

impl Geometry {
    /// The granule of an address.
    #[inline(always)]
    pub fn granule_of(&self, addr: usize) -> GranuleIdx {
        granule_of(addr)
    }

    /// The address of a granule's first byte.
    #[inline(always)]
    pub fn addr_of(&self, granule: GranuleIdx) -> usize {
        (granule.0 as usize) << GRANULE_SHIFT
    }

    /// A granule's first byte.
    #[inline(always)]
    pub fn start(&self, granule: GranuleIdx) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(self.addr_of(granule))
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

    /// The record of a granule, and the bits about it that are in `table`, one of bits.
    ///
    /// # Safety
    /// As for `record`.
    #[inline]
    pub unsafe fn record_and_bits(&self, granule: GranuleIdx, table: Table) -> (*mut u8, *mut u64) {
        // SAFETY: as the caller vouches.
        let (block, place) = (unsafe { self.block_of(granule) }, place_of(granule));
        (block.record(place), block.bits(place, table))
    }

    /// A number about a granule, which stands where no record is changed.
    ///
    /// # Safety
    /// The granule was gained, and is not given back.
    #[inline]
    pub unsafe fn mark(&self, granule: GranuleIdx) -> *mut u16 {
        // SAFETY: as the caller vouches.
        unsafe { self.block_of(granule) }.mark(place_of(granule))
    }

    /// The tables that describe a granule.
    ///
    /// # Safety
    /// The caller holds the granule.
    #[inline]
    unsafe fn block_of(&self, granule: GranuleIdx) -> Block {
        match self.directory.get(number_of(granule)) {
            Some(block) => block,
            None => fatal::unreachable_state(c"a granule without tables"),
        }
    }

    /// A word that differs from process to process: where the directory was mapped.
    #[inline(always)]
    pub fn secret(&self) -> u64 {
        self.directory.levels().addr() as u64
    }
}

/// The granule of an address.
#[inline(always)]
pub(super) fn granule_of(addr: usize) -> GranuleIdx {
    GranuleIdx((addr >> GRANULE_SHIFT) as u32)
}

/// The tables of the block that was asked about last: the next question is mostly about the same one.
pub struct LastTables {
    /// The block's addresses divided by its size.
    part: usize,
    block: Block,
}

impl LastTables {
    pub const NONE: LastTables = LastTables { part: usize::MAX, block: Block(core::ptr::null_mut()) };

    /// The record of the granule at an address, and the bits about it that are in `table`, one of bits.
    ///
    /// # Safety
    /// The caller holds the granule, and those that it asked about before.
    #[inline]
    pub unsafe fn record_of(
        &mut self,
        geometry: &Geometry,
        addr: usize,
        table: Table,
    ) -> (*mut u8, *mut u64) {
        if addr / BLOCK != self.part {
            // SAFETY: as the caller vouches.
            (self.part, self.block) = (addr / BLOCK, unsafe { geometry.block_of(geometry.granule_of(addr)) });
        }
        let place = (addr / GRANULE) as u32 % BLOCK_GRANULES;
        (self.block.record(place), self.block.bits(place, table))
    }
}
