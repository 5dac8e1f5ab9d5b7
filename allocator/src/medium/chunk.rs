//! The record of a chunk: which of its blocks are free, and which of those are clean.
//!
//! ```text
//!   blocks   │ out │ free │ out │ free │ free, never used … │
//!   free        0     1     0     1      1    1    1
//!   clean       0     0     0     0      1    1    1         reads as zero, and no memory is behind it
//! ```
#![forbid(unsafe_code)]

use super::class::{BLOCKS_MAX, MediumClass};
use super::of_class::{List, Side};
use crate::arena::RECORD;
use crate::base::config::GRANULE;
use crate::base::units::{div_up, round_down};
use core::ops::Range;

/// A bit for each block.
pub type Blocks = u16;

const _: () = assert!(Blocks::BITS as usize == BLOCKS_MAX);

#[repr(C)]
pub struct Chunk {
    /// Neighbours in the list of its class: granule index plus one, or 0.
    pub next: u32,
    pub prev: u32,
    pub class: MediumClass,
    /// The side whose threads look into it first.
    pub side: Side,
    pub free: Blocks,
    pub clean: Blocks,
}

const _: () = assert!(size_of::<Chunk>() <= RECORD);

/// The bits of a range of blocks.
pub fn blocks(range: Range<u32>) -> Blocks {
    (((1u32 << range.end) - 1) & !((1u32 << range.start) - 1)) as Blocks
}

impl Chunk {
    /// Makes the record of a chunk whose blocks are all free, of a run of which some granules are clean: a
    /// bit each.
    pub fn reset(&mut self, class: MediumClass, side: Side, granules: u32) {
        let mut clean = blocks(0..class.blocks());
        let (free, bytes) = (clean, class.bytes());
        for granule in (0..class.granules().0 as usize).filter(|granule| granules >> granule & 1 == 0) {
            let dirty = granule * GRANULE..(granule + 1) * GRANULE;
            clean &= !blocks((dirty.start / bytes) as u32..dirty.end.div_ceil(bytes) as u32);
        }
        *self = Chunk { next: 0, prev: 0, class, side, free, clean };
    }

    /// Takes a free block, if there is one, and says whether it is clean. One that is not goes first: its
    /// pages are there.
    #[inline]
    pub fn take(&mut self) -> Option<(u32, bool)> {
        if self.free == 0 {
            return None;
        }
        let dirty = self.dirty();
        let at = if dirty != 0 { dirty.trailing_zeros() } else { self.free.trailing_zeros() };
        self.free &= !(1 << at);
        self.clean &= !(1 << at);
        Some((at, dirty == 0))
    }

    /// Puts blocks back.
    #[inline]
    pub fn put(&mut self, blocks: Blocks) {
        self.free |= blocks;
    }

    /// In which of its class's lists it is. None where all of it is used.
    #[inline]
    pub fn list(&self) -> Option<List> {
        match (self.free, self.dirty()) {
            (0, _) => None,
            (_, 0) => Some(List::CLEAN),
            _ => Some(List::of(self.side)),
        }
    }

    #[cfg(test)]
    pub fn is_full(&self) -> bool {
        self.free == 0
    }

    pub fn is_empty(&self) -> bool {
        self.free == blocks(0..self.class.blocks())
    }

    /// Blocks that are free, and may have memory behind them.
    #[inline]
    pub fn dirty(&self) -> Blocks {
        self.free & !self.clean
    }

    pub fn dirty_bytes(&self) -> usize {
        self.dirty().count_ones() as usize * self.class.bytes()
    }

    /// Whether nothing is behind a granule of it.
    pub fn is_clean(&self, granule: u32) -> bool {
        let bytes = self.class.bytes();
        let on = granule as usize * GRANULE..(granule as usize + 1) * GRANULE;
        let all = blocks(0..self.class.blocks());
        let on = all & blocks((on.start / bytes) as u32..on.end.div_ceil(bytes) as u32);
        on & self.free & self.clean == on
    }

    /// Stretches of free blocks side by side of which some are dirty, and the whole pages in them.
    pub fn purgeable(&self, page: usize) -> impl Iterator<Item = (Blocks, Range<usize>)> + use<> {
        let (mut free, dirty, bytes) = (self.free as u32, self.dirty(), self.class.bytes());
        core::iter::from_fn(move || {
            while free != 0 {
                let first = free.trailing_zeros();
                let end = first + (free >> first).trailing_ones();
                let stretch = blocks(first..end);
                free &= !(stretch as u32);
                let pages =
                    div_up(first as usize * bytes, page) * page..round_down(end as usize * bytes, page);
                // What a page longer than a unit has of a block that is out stays dirty.
                let whole = blocks(div_up_any(pages.start, bytes)..(pages.end / bytes) as u32);
                if pages.start < pages.end && whole & dirty != 0 {
                    return Some((stretch, pages));
                }
            }
            None
        })
    }

    /// Notes that nothing is behind some pages: the blocks that lie wholly on them are clean.
    pub fn note_clean(&mut self, pages: Range<usize>) {
        let bytes = self.class.bytes();
        let (first, end) = (div_up_any(pages.start, bytes), (pages.end / bytes) as u32);
        if first < end {
            self.clean |= blocks(first..end) & self.free;
        }
    }
}

/// How many of `unit`, which need not be a power of two, hold `n`.
fn div_up_any(n: usize, unit: usize) -> u32 {
    n.checked_div(unit).map_or(0, |whole| whole + (whole * unit < n) as usize) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kib: usize, granules: u32) -> Chunk {
        let class = MediumClass::of(kib << 10).expect("a medium block");
        let mut chunk = Chunk { next: 7, prev: 7, class, side: Side::NONE, free: 0, clean: 0 };
        chunk.reset(class, Side::NONE, granules);
        chunk
    }

    fn taken(chunk: &mut Chunk) -> Vec<(u32, bool)> {
        core::iter::from_fn(|| chunk.take()).collect()
    }

    #[test]
    fn blocks_come_from_the_lowest_up_each_once() {
        let mut chunk = chunk(56, u32::MAX);
        assert_eq!(taken(&mut chunk), (0..8).map(|at| (at, true)).collect::<Vec<_>>());
        assert!(chunk.is_full());
        chunk.put(0b1010_0000);
        assert_eq!((chunk.dirty(), taken(&mut chunk)), (0b1010_0000, vec![(5, false), (7, false)]));
        chunk.put(0b1111_1111);
        assert!(chunk.is_empty());
    }

    #[test]
    fn free_blocks_side_by_side_are_purged_together_and_clean_then() {
        let mut chunk = chunk(56, 0);
        taken(&mut chunk);
        chunk.put(0b0110_0001);
        let found: Vec<_> = chunk.purgeable(4096).collect();
        assert_eq!(found, [(1, 0..56 << 10), (0b0110_0000, 280 << 10..392 << 10)]);
        found.iter().for_each(|(_, pages)| chunk.note_clean(pages.clone()));
        assert_eq!((chunk.dirty(), chunk.purgeable(4096).count()), (0, 0));
        // Of longer pages those that are wholly free; the block that has a part of another stays dirty.
        chunk.clean = 0;
        let found: Vec<_> = chunk.purgeable(64 << 10).collect();
        assert_eq!(found, []);
        chunk.put(0b0001_0000);
        let found: Vec<_> = chunk.purgeable(64 << 10).collect();
        assert_eq!(found, [(0b0111_0000, 256 << 10..384 << 10)]);
        chunk.note_clean(256 << 10..384 << 10);
        assert_eq!((chunk.clean, chunk.purgeable(64 << 10).count()), (0b0010_0000, 0));
    }

    #[test]
    fn a_granule_is_clean_where_all_blocks_on_it_are() {
        let mut chunk = chunk(48, u32::MAX);
        chunk.take();
        chunk.put(1);
        assert_eq!((0..3).map(|granule| chunk.is_clean(granule)).collect::<Vec<_>>(), [false, true, true]);
        // And a block where all granules are that it lies on.
        chunk.reset(chunk.class, Side::NONE, 0b101);
        assert_eq!(chunk.clean, 0b1001);
    }
}
