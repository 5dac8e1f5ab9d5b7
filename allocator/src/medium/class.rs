//! Classes of medium blocks: eight to a doubling, in whole units of 4 KiB; and the chunks they come from.
//!
//! ```text
//!   class    0   1   2   3   4   5   6   7 │  8   9  …  15 │  16   17  …  23
//!   KiB     36  40  44  48  52  56  60  64 │ 72  80  … 128 │ 144  160  … 256
//!   chunk    4   5   7   3   5   7  15   4 │  9   5  …   8 │   9   10  …  16   granules, of 4 to 16 blocks
//! ```
//!
//! A chunk's length is the shortest one of which four blocks or more of its class fill all but 3 %.
#![forbid(unsafe_code)]

use crate::arena::page_map::Entry;
use crate::base::checked::Checked;
use crate::base::config::GRANULE;
use crate::base::units::{Granules, is_multiple};

/// Bytes of a unit. No page is shorter.
pub const UNIT: usize = 4096;

/// Classes of a doubling, and the units below the first class.
const STEPS: usize = 8;
const BELOW: usize = 8;

pub const MEDIUM_CLASSES: usize = 3 * STEPS;

/// How many classes above its own may serve a request: a quarter is wasted at most, and less lies idle for
/// want of requests of its own class.
const ABOVE: u8 = 2;

/// The most blocks of a chunk.
pub const BLOCKS_MAX: usize = 16;
const BLOCKS_MIN: usize = 4;

/// The most blocks that begin on one granule.
pub const BLOCKS_OF_GRANULE: usize = GRANULE.div_ceil((BELOW + 1) * UNIT);

/// The part of a chunk that is in no block is this one at most: a thirty-second.
const WASTE: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct MediumClass(u8);

#[derive(Clone, Copy)]
struct Shape {
    units: u8,
    granules: u8,
    blocks: u8,
    /// 2^16 by the units, rounded up: what an offset in units is multiplied by for the block's index.
    factor: u16,
}

const SHAPES: Checked<Shape, MEDIUM_CLASSES> = {
    let mut shapes = [Shape { units: 0, granules: 0, blocks: 0, factor: 0 }; MEDIUM_CLASSES];
    let mut class = 0;
    while class < MEDIUM_CLASSES {
        let units = (BELOW + 1 + class % STEPS) << (class / STEPS);
        let mut granules = 0;
        let mut blocks = 0;
        while blocks < BLOCKS_MIN || (granules * GRANULE - blocks * units * UNIT) * WASTE > granules * GRANULE
        {
            granules += 1;
            blocks = granules * GRANULE / UNIT / units;
        }
        assert!(granules <= Entry::CHUNK_MAX.0 as usize && blocks <= BLOCKS_MAX);
        shapes[class] = Shape {
            units: units as u8,
            granules: granules as u8,
            blocks: blocks as u8,
            factor: ((1usize << 16) / units + 1) as u16,
        };
        class += 1;
    }
    Checked(shapes)
};

static TABLE: Checked<Shape, MEDIUM_CLASSES> = SHAPES;

impl MediumClass {
    /// The smallest class that holds so many bytes. None where they are too few for one, or too many.
    #[inline]
    pub fn of(bytes: usize) -> Option<MediumClass> {
        let units = bytes.div_ceil(UNIT);
        if units <= BELOW || units > BELOW << 3 {
            return None;
        }
        // Units above 8, 16 or 32 come in steps of 1, 2 or 4.
        let doubling = ((units - 1) / BELOW).ilog2() as usize;
        Some(MediumClass((((units - 1) >> doubling) - BELOW + doubling * STEPS) as u8))
    }

    /// The same for an alignment: blocks are at multiples of a unit.
    #[inline]
    pub fn of_aligned(bytes: usize, align: usize) -> Option<MediumClass> {
        if align <= UNIT { MediumClass::of(bytes) } else { None }
    }

    /// What a chunk's label says.
    pub const fn told(class: u8) -> MediumClass {
        MediumClass(class)
    }

    /// Each class, from the smallest on.
    pub fn all() -> impl DoubleEndedIterator<Item = MediumClass> {
        (0..MEDIUM_CLASSES as u8).map(MediumClass)
    }

    pub fn number(self) -> usize {
        self.0 as usize
    }

    /// The classes that a request of this one may get a block of, if there is one: its own, and two above it.
    #[inline]
    pub fn served_by(self) -> impl Iterator<Item = MediumClass> {
        (self.0..=(self.0 + ABOVE).min(MEDIUM_CLASSES as u8 - 1)).map(MediumClass)
    }

    /// The first of those that is in a set of classes, a bit each. Without a branch for each of them: which
    /// it is cannot be foretold.
    #[inline]
    pub fn first_served_by(self, classes: u32) -> Option<MediumClass> {
        let above = ((classes >> self.0) & ((2 << ABOVE) - 1)).trailing_zeros() as u8;
        (above <= ABOVE).then_some(MediumClass(self.0 + above))
    }

    /// Whether it may get a block of a class.
    #[inline]
    pub fn may_be(self, class: MediumClass) -> bool {
        class.0.wrapping_sub(self.0) <= ABOVE
    }

    #[inline]
    fn shape(self) -> Shape {
        TABLE[self.0 as usize]
    }

    #[inline]
    pub fn bytes(self) -> usize {
        self.shape().units as usize * UNIT
    }

    /// A chunk's length.
    pub fn granules(self) -> Granules {
        Granules(self.shape().granules as u32)
    }

    /// Blocks of a chunk.
    pub fn blocks(self) -> u32 {
        self.shape().blocks as u32
    }

    /// On which granule of its chunk a block begins.
    #[inline]
    pub fn granule_of(self, at: u32) -> u32 {
        (at as usize * self.bytes() / GRANULE) as u32
    }

    /// The index of the block that begins at an offset in a chunk. None where none does.
    #[inline]
    pub fn index_of(self, offset: usize) -> Option<u32> {
        let (shape, units) = (self.shape(), (offset / UNIT) as u32);
        let at = (units * shape.factor as u32) >> 16;
        (is_multiple(offset, UNIT) && at * shape.units as u32 == units && at < shape.blocks as u32)
            .then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_gets_the_smallest_class_that_holds_it() {
        for bytes in (32 * 1024 + 1..=256 * 1024).step_by(if cfg!(miri) { 4099 } else { 97 }) {
            let class = MediumClass::of(bytes).expect("a medium block");
            assert!(class.bytes() >= bytes && (class.bytes() - bytes) * 8 < bytes, "{bytes}: {class:?}");
            assert!(class.0 == 0 || MediumClass(class.0 - 1).bytes() < bytes, "{bytes}: {class:?}");
        }
        assert_eq!((MediumClass::of(32 * 1024), MediumClass::of(256 * 1024 + 1)), (None, None));
        assert_eq!(MediumClass::of(256 * 1024), Some(MediumClass(23)));
    }

    #[test]
    fn a_set_of_classes_serves_as_each_of_them_would() {
        for class in MediumClass::all() {
            for set in (0..8u64).flat_map(|low| [low, low | 8]).map(|set| (set << class.0 >> 1) as u32) {
                let set = set & ((1 << MEDIUM_CLASSES) - 1);
                let one_by_one = class.served_by().find(|class| set >> class.0 & 1 == 1);
                assert_eq!(class.first_served_by(set), one_by_one, "{class:?} {set:#x}");
            }
        }
        assert_eq!(MediumClass(MEDIUM_CLASSES as u8 - 1).first_served_by(u32::MAX >> 9), None);
    }

    #[test]
    fn a_chunk_is_filled_by_its_blocks() {
        for class in MediumClass::all() {
            let bytes = class.granules().0 as usize * GRANULE;
            let waste = bytes - class.blocks() as usize * class.bytes();
            assert!(waste < class.bytes() && waste * WASTE <= bytes, "{class:?}");
            assert!((BLOCKS_MIN..=BLOCKS_MAX).contains(&(class.blocks() as usize)));
        }
    }

    #[test]
    fn every_block_has_its_index_and_no_other_place_has_one() {
        for class in MediumClass::all() {
            for offset in (0..17 * GRANULE).step_by(UNIT / 2) {
                let begins = offset % class.bytes() == 0 && offset / class.bytes() < class.blocks() as usize;
                let index = begins.then_some((offset / class.bytes()) as u32);
                assert_eq!(class.index_of(offset), index, "{class:?} {offset}");
            }
        }
    }
}
