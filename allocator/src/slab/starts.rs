//! Where the blocks of a class begin in a slab, and which of them are there: one multiplication tells.
//!
//! The factor is 2^32 by the size, and a little more. So the upper half of `offset × factor` is the block's
//! index. The lower half counts in small steps where a block begins: `index × step`. Everywhere else it is
//! the factor or more, which is more than any number of steps (Lemire, Kaser and Kurz, "Faster remainder by
//! direct computation"). A bound of so many steps is therefore a test for both: a block begins here, and its
//! index is below that count.

use crate::base::config::GRANULE;
use crate::base::size_class::{self, ByClass, CLASSES};
use crate::base::units::SizeClass;
use core::cell::Cell;

/// Blocks of a slab of a class.
#[inline]
pub fn capacity(class: SizeClass) -> u16 {
    CAPACITY[class.0 as usize]
}

pub const CAPACITY: ByClass<u16> = {
    let mut capacity = [0; 256];
    let mut class = 0;
    while class < CLASSES {
        capacity[class] = (GRANULE / size_class::bytes(SizeClass(class as u8))) as u16;
        class += 1;
    }
    capacity
};

const FACTOR: ByClass<u32> = {
    let mut factor = [0; 256];
    let mut class = 0;
    while class < CLASSES {
        factor[class] = ((1u64 << 32) / size_class::bytes(SizeClass(class as u8)) as u64 + 1) as u32;
        class += 1;
    }
    factor
};

/// What each block adds to the lower half: at least 1, at most the size.
const STEP: ByClass<u32> = {
    let mut step = [0; 256];
    let mut class = 0;
    while class < CLASSES {
        let size = size_class::bytes(SizeClass(class as u8)) as u64;
        step[class] = (FACTOR[class] as u64 * size - (1 << 32)) as u32;
        // So the lower half of no other place wraps round to a small one.
        assert!((CAPACITY[class] as u64 + 1) * (step[class] as u64) < FACTOR[class] as u64);
        class += 1;
    }
    step
};

/// The index of the block that begins at an offset in its slab; None where none does.
#[inline]
pub fn index_of(class: SizeClass, offset: usize) -> Option<usize> {
    Indices::of(class).at(offset, capacity(class))
}

/// The same for many blocks of a class, whose numbers are looked up once.
#[derive(Clone, Copy)]
pub struct Indices {
    factor: u64,
    step: u32,
}

impl Indices {
    #[inline]
    pub fn of(class: SizeClass) -> Indices {
        let at = class.0 as usize;
        Indices { factor: FACTOR[at] as u64, step: STEP[at] }
    }

    /// The index of the block, one of the first `count`, that begins at an offset.
    #[inline]
    pub fn at(self, offset: usize, count: u16) -> Option<usize> {
        let product = offset as u64 * self.factor;
        ((product as u32) < self.step * count as u32).then_some((product >> 32) as usize)
    }
}

/// The index of the block that an offset lies in.
pub fn block_at(class: SizeClass, offset: usize) -> usize {
    ((offset as u64 * FACTOR[class.0 as usize] as u64) >> 32) as usize
}

/// The test whether a block begins at an offset, for a heap to have beside its bins.
#[repr(C)]
pub struct Starts {
    factor: Cell<u32>,
    bound: Cell<u32>,
}

impl Starts {
    /// Of no block at all.
    pub const fn none() -> Starts {
        Starts { factor: Cell::new(0), bound: Cell::new(0) }
    }

    /// Of the first `count` blocks of a class.
    #[cfg(test)]
    pub fn of(class: SizeClass, count: u16) -> Starts {
        let starts = Starts::none();
        starts.begin(class, count);
        starts
    }

    /// Makes it a test of the first `count` blocks of `class`.
    pub fn begin(&self, class: SizeClass, count: u16) {
        self.factor.set(FACTOR[class.0 as usize]);
        self.set(class, count);
    }

    /// Makes it a test of the first `count` blocks of `class`, its own.
    pub fn set(&self, class: SizeClass, count: u16) {
        self.bound.set(STEP[class.0 as usize] * count as u32);
    }

    /// Whether one of them begins at an offset.
    #[inline(always)]
    pub fn has(&self, offset: u16) -> bool {
        (offset as u32).wrapping_mul(self.factor.get()) < self.bound.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Under Miri not every offset: they are pure arithmetic.
    const STRIDE: usize = if cfg!(miri) { 16 * 97 } else { 8 };

    #[test]
    fn every_block_has_its_index_and_no_other_place_has_one() {
        for class in (1..CLASSES as u8).map(SizeClass) {
            let size = size_class::bytes(class);
            for offset in (0..GRANULE).step_by(STRIDE) {
                let block = offset.is_multiple_of(size) && offset / size < capacity(class) as usize;
                assert_eq!(index_of(class, offset), block.then_some(offset / size), "{class:?} {offset}");
                assert_eq!(block_at(class, offset + 7), (offset + 7) / size);
            }
        }
    }

    #[test]
    fn a_bound_lets_so_many_blocks_through_and_nothing_else() {
        for class in (1..CLASSES as u8).map(SizeClass) {
            let size = size_class::bytes(class);
            for count in [0, 1, capacity(class) / 2, capacity(class)] {
                let starts = Starts::of(class, count);
                for offset in (0..GRANULE).step_by(STRIDE) {
                    let is = offset.is_multiple_of(size) && offset / size < count as usize;
                    assert_eq!(starts.has(offset as u16), is, "{class:?} {count} {offset}");
                }
            }
        }
    }
}
