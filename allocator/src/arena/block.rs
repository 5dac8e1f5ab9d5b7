//! A block: 64 MiB of addresses, and the tables that describe them. They are one mapping, made when the arena
//! gains something there.
//!
//! ```text
//!   │ head: what was gained, free runs │ records, 544 B a granule │ words, 4 B a granule │
//! ```
//!
//! The words are the block's own piece of the page map, for granules that no window shows (see `windows`).

use super::RECORD;
use super::bits::Bits;
use super::page_map::PageMap;
use super::runs::Runs;
use crate::config::{BLOCK_GRANULES, GRANULE_SHIFT};
use crate::os::Os;
use crate::units::{GranuleIdx, round_down, round_up};
use core::ops::Range;

/// What the arena's lock guards of a block. Zero bytes are a block of which nothing was gained.
#[repr(C)]
pub struct Head {
    /// Its granules' index divided by `BLOCK_GRANULES`.
    pub number: u32,
    /// Some window did not show it when it was gained: its words are kept, and it is never unmapped.
    pub outside: bool,
    /// Granules that are the arena's. Set after their memory is there and described, cleared before it goes.
    pub gained: Bits,
    /// First granules of regions (see `growth`), and of what the break brought.
    pub starts: Bits,
    pub runs: Runs,
}

const RECORDS_AT: usize = size_of::<Head>().next_multiple_of(64);
const WORDS_AT: usize = RECORDS_AT + BLOCK_GRANULES as usize * RECORD;
const LEN: usize = WORDS_AT + BLOCK_GRANULES as usize * 4;

/// Where a block's tables are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Block(pub *mut Head);

impl Block {
    /// Maps the tables of a block.
    pub fn make<O: Os>(os: &O, number: u32) -> Option<Block> {
        let head: *mut Head = os.map(round_up(LEN, os.page())?)?.cast();
        // SAFETY: writable, page-aligned, zeros, and nobody's yet.
        unsafe { (*head).number = number };
        Some(Block(head))
    }

    /// Gives the tables back.
    ///
    /// # Safety
    /// Nobody uses them, or will: nothing of the block is the arena's, and it is in no directory.
    pub unsafe fn unmap<O: Os>(self, os: &O) -> bool {
        let len = round_up(LEN, os.page()).unwrap_or(LEN);
        // SAFETY: the mapping that `make` made.
        unsafe { os.unmap(self.0.cast(), len) }
    }

    /// # Safety
    /// The arena's lock is held, or no other thread is there, for as long as the reference lives, and no
    /// other reference to this head does.
    pub unsafe fn head<'a>(self) -> &'a mut Head {
        // SAFETY: as the caller vouches; the tables are there while the block is in the arena's list.
        unsafe { &mut *self.0 }
    }

    /// The record of a granule of this block.
    pub fn record(self, granule: u32) -> *mut u8 {
        self.0.cast::<u8>().wrapping_add(RECORDS_AT + granule as usize * RECORD)
    }

    /// The block's own words.
    pub fn words(self) -> PageMap {
        PageMap::at(self.0.cast::<u8>().wrapping_add(WORDS_AT).cast())
    }

    /// The granules of an index range that are this block's, counted from its first.
    pub fn part(number: u32, granules: &Range<GranuleIdx>) -> Range<u32> {
        let last = GranuleIdx(granules.end.0.wrapping_sub(1));
        let start = if number_of(granules.start) == number { place_of(granules.start) } else { 0 };
        let end = if number_of(last) == number { place_of(last) + 1 } else { BLOCK_GRANULES };
        start..end
    }

    /// Gives the pages back that hold records of `granules` and of nothing outside `run`, the free run that
    /// they are a part of: the next holder of a granule writes its record anew.
    pub fn purge_records<O: Os>(self, os: &O, granules: Range<u32>, run: Range<u32>) {
        let (page, at) = (os.page(), |granule: u32| self.record(granule).addr());
        let first =
            round_up(at(run.start), page).map(|first| first.max(round_down(at(granules.start), page)));
        let last = round_up(at(granules.end), page).map(|last| last.min(round_down(at(run.end), page)));
        if let (Some(first), Some(last)) = (first, last)
            && first < last
        {
            // SAFETY: a part of the tables; the run is free, so nobody reads its records.
            unsafe { os.purge(self.0.cast::<u8>().with_addr(first), last - first) };
        }
    }
}

/// The number of the block that a granule is of.
pub fn number_of(granule: GranuleIdx) -> u32 {
    granule.0 / BLOCK_GRANULES
}

/// Where a granule stands in its block.
pub fn place_of(granule: GranuleIdx) -> u32 {
    granule.0 % BLOCK_GRANULES
}

/// Bytes of a block's addresses.
pub const BLOCK: usize = (BLOCK_GRANULES as usize) << GRANULE_SHIFT;
