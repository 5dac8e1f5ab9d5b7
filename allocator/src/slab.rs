//! A slab: one granule carved into blocks of one class.
//!
//! ```text
//!   granule   │ block │ block │ block │ block │ not carved yet …        │
//!   record     free: 0 1 1 0            (out of line: nothing of ours in the blocks or between them)
//!              used 2, carved 4
//! ```
//!
//! States: *full* (nothing free, everything carved; in no list) → *partial* (listed) → *empty* (no
//! block out; kept, or retired to the arena). A block counts as used while it is anywhere but in its
//! slab: with the program, in a magazine (of any thread), in a depot, on its way in an inbox.
//!
//! Invariants:
//! 1. `carved - used` bits are set, all of them below `carved`.
//! 2. A clean page holds nothing of a block that is out, nor of one that was handed out since it was purged.
//! 3. What is not carved yet of a `zeroed` slab reads as zero, and has no memory behind it.

pub mod bitmap;
pub mod central;
mod depot;
pub mod handed_out;
mod lists;
mod pages;
pub mod parcel;
pub mod round;
pub mod site;
pub mod slack;

use crate::config::GRANULE;
use crate::fatal;
use crate::size_class::{self, ByClass, CLASSES};
use crate::units::SizeClass;
use bitmap::Bitmap;
use core::ops::Range;
use lists::Place;
use pages::Pages;

/// The record of a granule that is a slab. Guarded by the lock of the heap that owns it.
#[repr(C)]
pub struct Slab {
    /// Neighbours in its list: granule index plus one, or 0.
    next: u32,
    prev: u32,
    pub used: u16,
    pub carved: u16,
    pub class: SizeClass,
    place: Place,
    pub zeroed: bool,
    /// Pages that were purged, and of which no block was handed out since.
    clean: Pages,
    /// The round in which its pages were last looked at.
    round: u16,
    /// Its words count as far as the class has blocks.
    pub free: Bitmap,
}

const _: () = assert!(GRANULE / 16 <= u16::MAX as usize);

impl Slab {
    /// Makes the record of a slab without blocks; of the bitmap, only what the class uses is written.
    fn reset(&mut self, class: SizeClass, zeroed: bool) {
        (self.next, self.prev, self.used, self.carved) = (0, 0, 0, 0);
        (self.class, self.place, self.zeroed) = (class, Place::None, zeroed);
        (self.clean, self.round) = (Pages::NONE, 0);
        self.free.clear(capacity(class) as usize);
    }

    /// Blocks that are free and carved.
    pub fn free_count(&self) -> u32 {
        (self.carved - self.used) as u32
    }

    /// Whether a block that is out lies in a part of the slab, of offsets.
    pub fn is_used(&self, part: Range<usize>) -> bool {
        let end = (block_at(self.class, part.end - 1) + 1).min(self.carved as usize);
        self.free.first_clear(block_at(self.class, part.start)..end).is_some()
    }

    pub fn exhausted(&self) -> bool {
        self.used == capacity(self.class)
    }

    /// Puts the block at an offset back, which is of `class`, the slab's: who does it counts it in `used`.
    /// Where there is none, or it is there already, the program ends.
    #[inline]
    pub fn put_back(&mut self, class: SizeClass, offset: usize) {
        let Some(at) = index_of(class, offset) else { fatal::invalid_free(c"free(): invalid pointer") };
        if at >= self.carved as usize {
            fatal::invalid_free(c"free(): invalid pointer");
        }
        if !self.free.insert(at) {
            fatal::invalid_free(c"free(): double free detected");
        }
    }
}

/// Blocks of a slab of a class.
#[inline]
pub fn capacity(class: SizeClass) -> u16 {
    CAPACITY[class.0 as usize]
}

const CAPACITY: ByClass<u16> = {
    let mut capacity = [0; 256];
    let mut class = 0;
    while class < CLASSES {
        capacity[class] = (GRANULE / size_class::bytes(SizeClass(class as u8))) as u16;
        class += 1;
    }
    capacity
};

/// The index of a block from its offset in its slab; None where no block can begin there. Behind the last
/// block it is the class's capacity or more.
///
/// Divides by a multiplication. The factor is 2^32 by the size, rounded up. The upper half of the product is
/// the index; the lower half is less than the factor exactly where nothing is left over (Lemire, Kaser and
/// Kurz, "Faster remainder by direct computation"; it holds while offset and size have 32 bits together).
#[inline]
pub fn index_of(class: SizeClass, offset: usize) -> Option<usize> {
    let inverse = INVERSE[class.0 as usize];
    let product = offset as u64 * inverse as u64;
    ((product as u32) < inverse).then_some((product >> 32) as usize)
}

/// The index of the block that an offset lies in, as above.
fn block_at(class: SizeClass, offset: usize) -> usize {
    ((offset as u64 * INVERSE[class.0 as usize] as u64) >> 32) as usize
}

const INVERSE: ByClass<u32> = {
    let mut inverse = [0; 256];
    let mut class = 0;
    while class < CLASSES {
        inverse[class] = (1u64 << 32).div_ceil(size_class::bytes(SizeClass(class as u8)) as u64) as u32;
        class += 1;
    }
    inverse
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_has_its_index_and_no_other_place_has_one() {
        for class in (0..CLASSES as u8).map(SizeClass) {
            let size = size_class::bytes(class);
            // Under Miri not all of the 4096: they are pure arithmetic.
            for offset in (0..GRANULE).step_by(if cfg!(miri) { 16 * 97 } else { 16 }) {
                let expected = offset.is_multiple_of(size).then_some(offset / size);
                assert_eq!(index_of(class, offset), expected, "{class:?} {offset}");
                assert_eq!(block_at(class, offset + 15), (offset + 15) / size);
            }
            assert_eq!(index_of(class, 8), None);
        }
    }
}
