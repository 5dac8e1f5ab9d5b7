//! A block: 64 MiB of addresses, and the tables that describe them, made when the arena gains something
//! there.
//!
//! ```text
//!   │ head: what was gained, free runs │ where bits are │ marks │ records │ words │
//!                            a granule:           │         2 B     64 B     4 B
//!                                                 ╰─► │ few bits │ many bits │     of 64 granules: a part
//!                            a granule:                  128 B      512 B
//! ```
//!
//! Bits about a granule stand behind its record or in one of two tables, by how many they are: of a slab of
//! few blocks the record is all that is touched. Those two tables are nine tenths of what describes a
//! granule, so they are mapped by parts, for the granules that were gained. The words are the block's own
//! piece of the page map, for granules that no window shows (see `windows`).
//!
//! Edge MAP of `page_map.rs` serves for where the parts are, too: who holds a granule finds its part.
#![allow(unsafe_code)]

use super::bits::Bits;
use super::page_map::PageMap;
use super::runs::Runs;
use crate::base::config::{BLOCK_GRANULES, GRANULE, GRANULE_SHIFT};
use crate::base::units::{GranuleIdx, round_down, round_up};
use crate::base::why::Why;
use crate::os::Os;
use core::ops::Range;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

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

/// Bytes of a granule's record: what the layer above keeps for a granule that it holds, beside bits.
pub const RECORD: usize = 32;

/// A column with an entry for each granule: where it begins, and the bytes of an entry.
#[derive(Clone, Copy)]
struct Column {
    at: u32,
    entry: u32,
}

impl Column {
    const fn behind(end: usize, entry: usize) -> Column {
        Column { at: end.next_multiple_of(64) as u32, entry: entry as u32 }
    }

    const fn end(self) -> usize {
        (self.at + BLOCK_GRANULES * self.entry) as usize
    }
}

/// A table of bits: which place leads to the part of it for 64 granules, and how the entries lie there.
#[derive(Clone, Copy)]
pub struct Table {
    /// Bytes from the block's head to the place of the first part.
    places: u32,
    entries: Column,
}

impl Table {
    /// The table that has room for so many words of bits about a granule, at most `WORDS_MANY`.
    pub const fn of_bits(words: usize) -> Table {
        if words <= WORDS_HERE {
            return Table { places: HERE_AT as u32, entries: HERE };
        }
        Table { places: BITS_AT as u32, entries: if words <= WORDS_FEW { FEW } else { MANY } }
    }
}

/// Words of bits that there is room for behind a record, and in the two tables of bits: in the larger one
/// for a bit for each 16 bytes.
const WORDS_HERE: usize = 4;
const WORDS_FEW: usize = 16;
const WORDS_MANY: usize = GRANULE / 16 / 64;

/// Bytes from a granule's record to the next one's, of the same block. Whoever holds a run may use all from
/// the first one's record on to the end of the last one's as one.
pub const RECORDS_APART: usize = RECORD + WORDS_HERE * 8;

/// Granules whose bits are mapped together, and such parts of a block.
const PART_GRANULES: u32 = 64;
pub const PARTS: usize = (BLOCK_GRANULES / PART_GRANULES) as usize;

/// Where the places of the parts begin, and those of as many records, so that one way leads to all bits;
/// behind them the columns. Marks are short: the first records are on one page with them.
const BITS_AT: usize = size_of::<Head>().next_multiple_of(64);
const HERE_AT: usize = BITS_AT + PARTS * size_of::<AtomicPtr<u8>>();
const MARKS: Column = Column::behind(HERE_AT + PARTS * size_of::<AtomicPtr<u8>>(), size_of::<u16>());
const RECORDS: Column = Column::behind(MARKS.end(), RECORDS_APART);
const WORDS: Column = Column::behind(RECORDS.end(), size_of::<u32>());
const LEN: usize = WORDS.end();

/// The bits behind records, and the columns of a part, from what a place leads to.
const HERE: Column = Column { at: RECORD as u32, entry: RECORDS_APART as u32 };
const FEW: Column = Column { at: 0, entry: WORDS_FEW as u32 * 8 };
const MANY: Column = Column { at: PART_GRANULES * FEW.entry, entry: WORDS_MANY as u32 * 8 };
const PART: usize = (PART_GRANULES * (FEW.entry + MANY.entry)) as usize;

/// Bytes of a block's tables without its bits, and those of them that each granule in use has at least: its
/// record and its mark.
pub const TABLES: usize = LEN;
pub const DESCRIBED: usize = RECORD + WORDS_HERE * 8 + size_of::<u16>();

/// Where a block's tables are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Block(pub *mut Head);

impl Block {
    /// Maps the tables of a block.
    pub fn make<O: Os>(os: &O, number: u32, why: Why) -> Option<Block> {
        let head: *mut Head = os.map(round_up(LEN, os.page())?, why)?.cast();
        // SAFETY: writable, page-aligned, zeros, and nobody's yet.
        unsafe { (*head).number = number };
        let block = Block(head);
        for at in 0..PARTS as u32 {
            block.place(HERE_AT, at).store(block.record(at * PART_GRANULES), Ordering::Relaxed);
        }
        Some(block)
    }

    /// Maps the bits of granules that have none. False where there is no memory for all of them.
    #[cold]
    #[inline(never)]
    pub fn make_bits<O: Os>(self, os: &O, granules: Range<u32>, why: Why) -> bool {
        let (mut at, end) = (granules.start / PART_GRANULES, granules.end.div_ceil(PART_GRANULES));
        while at < end {
            let missing = (at..end).take_while(|&at| self.bit_part(at).is_null()).count();
            if missing > 0 {
                // Side by side in one mapping.
                let Some(memory) = os.map(missing * part_bytes(os), why) else { return false };
                for more in 0..missing {
                    let part = memory.wrapping_add(more * part_bytes(os));
                    self.place(BITS_AT, at + more as u32).store(part, Ordering::Relaxed);
                }
            }
            at += missing as u32 + 1;
        }
        true
    }

    /// Where the bits are of the granules from `at` times `PART_GRANULES` on; null where none of them was
    /// gained.
    #[inline]
    pub fn bit_part(self, at: u32) -> *mut u8 {
        // Relaxed: edge MAP.
        self.place(BITS_AT, at).load(Ordering::Relaxed)
    }

    /// How many parts are mapped.
    pub fn bit_parts(self) -> u32 {
        (0..PARTS as u32).filter(|&at| !self.bit_part(at).is_null()).count() as u32
    }

    /// One of the places from `from` on.
    #[inline]
    fn place(self, from: usize, at: u32) -> &'static AtomicPtr<u8> {
        let places = self.0.cast::<u8>().wrapping_add(from).cast::<AtomicPtr<u8>>();
        // SAFETY: in the tables, behind the head; only referred to as an atomic.
        unsafe { &*places.add(at as usize % PARTS) }
    }

    /// Gives the tables back, bits first. False where the kernel keeps any of them: those stay.
    ///
    /// # Safety
    /// Nobody uses them, or will: nothing of the block is the arena's, and it is in no directory.
    pub unsafe fn unmap<O: Os>(self, os: &O, why: Why) -> bool {
        for at in 0..PARTS as u32 {
            let part = self.bit_part(at);
            // SAFETY: mapped by `make_bits`; as the caller vouches nobody uses it.
            if !part.is_null() && !unsafe { os.unmap(part, part_bytes(os), why) } {
                return false;
            }
            self.place(BITS_AT, at).store(null_mut(), Ordering::Relaxed);
        }
        let len = round_up(LEN, os.page()).unwrap_or(LEN);
        // SAFETY: the mapping that `make` made.
        unsafe { os.unmap(self.0.cast(), len, why) }
    }

    /// # Safety
    /// The arena's lock is held, or no other thread is there, for as long as the reference lives, and no
    /// other reference to this head does.
    pub unsafe fn head<'a>(self) -> &'a mut Head {
        // SAFETY: as the caller vouches; the tables are there while the block is in the arena's list.
        unsafe { &mut *self.0 }
    }

    #[inline]
    fn entry(self, column: Column, granule: u32) -> *mut u8 {
        self.0.cast::<u8>().wrapping_add((column.at + granule * column.entry) as usize)
    }

    /// The record of a granule of this block.
    #[inline]
    pub fn record(self, granule: u32) -> *mut u8 {
        self.entry(RECORDS, granule)
    }

    /// The bits about a granule of this block that are in `table`, one of bits.
    #[inline]
    pub fn bits(self, granule: u32, table: Table) -> *mut u64 {
        let entries = table.entries;
        let part = self.place(table.places as usize, granule / PART_GRANULES).load(Ordering::Relaxed);
        part.wrapping_add((entries.at + granule % PART_GRANULES * entries.entry) as usize).cast()
    }

    /// A number about a granule of this block, which stands where no record is changed.
    #[inline]
    pub fn mark(self, granule: u32) -> *mut u16 {
        self.entry(MARKS, granule).cast()
    }

    /// The block's own words.
    pub fn words(self) -> PageMap {
        PageMap::at(self.entry(WORDS, 0).cast())
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
    pub fn purge_records<O: Os>(self, os: &O, granules: Range<u32>, run: Range<u32>, why: Why) {
        purge_column(os, self.0.cast(), RECORDS, granules.clone(), run.clone(), why);
        for at in granules.start / PART_GRANULES..granules.end.div_ceil(PART_GRANULES) {
            let first = at * PART_GRANULES;
            let here = |of: &Range<u32>| of.start.saturating_sub(first)..(of.end - first).min(PART_GRANULES);
            let (part, granules, run) = (self.bit_part(at), here(&granules), here(&run));
            if granules.len() as u32 == PART_GRANULES {
                // SAFETY: all of the part is of free granules, so nobody reads it.
                unsafe { os.purge(part, part_bytes(os), why) };
            } else {
                for column in [FEW, MANY] {
                    purge_column(os, part, column, granules.clone(), run.clone(), why);
                }
            }
        }
    }
}

/// Gives the pages back of what a column from `base` on says of `granules`, and of nothing outside `run`.
fn purge_column<O: Os>(
    os: &O,
    base: *mut u8,
    column: Column,
    granules: Range<u32>,
    run: Range<u32>,
    why: Why,
) {
    let page = os.page();
    let at = |granule: u32| base.addr() + (column.at + granule * column.entry) as usize;
    let first = round_up(at(run.start), page).map(|first| first.max(round_down(at(granules.start), page)));
    let last = round_up(at(granules.end), page).map(|last| last.min(round_down(at(run.end), page)));
    if let Some((first, last)) = first.zip(last).filter(|(first, last)| first < last) {
        // SAFETY: a part of the tables; the run is free, so nobody reads what is said of it.
        unsafe { os.purge(base.with_addr(first), last - first, why) };
    }
}

/// Bytes of a part, in whole pages.
pub fn part_bytes<O: Os>(os: &O) -> usize {
    round_up(PART, os.page()).unwrap_or(PART)
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
