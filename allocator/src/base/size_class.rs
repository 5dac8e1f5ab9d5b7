//! Size classes: 16-byte steps to 1 KiB, then four per doubling to 32 KiB.
//!
//! ```text
//! class   0    1    2  …  64 |   65    66    67    68 …    84
//! bytes  16   16   32  … 1024 | 1280  1536  1792  2048 … 32768
//! ```
//!
//! Class 0 is the one of no bytes. It has no blocks, so that the class of every request up to 1 KiB is
//! `(size + 15) >> 4`, with no test for zero on the way: where class 0 finds nothing, class 1 serves.
#![forbid(unsafe_code)]

use crate::base::units::{SizeClass, is_multiple};

/// Largest request that the 16-byte steps serve.
pub const STEP_MAX: usize = 1024;
/// Largest request that any class serves.
pub const CLASS_MAX: usize = 32 * 1024;
/// How many classes there are.
pub const CLASSES: usize = 65 + 20;

/// The first class that has blocks.
pub const LEAST: SizeClass = SizeClass(1);

const STEP_CLASSES: usize = 65;

/// A table by class. It has a place for every value of a `SizeClass`, so that a lookup needs no test.
pub type ByClass<T> = [T; 256];

/// Block size of each class, in bytes.
pub const SIZES: ByClass<u16> = {
    let mut sizes = [16u16; 256];
    let mut c = 1;
    while c < STEP_CLASSES {
        sizes[c] = 16 * c as u16;
        c += 1;
    }
    while c < CLASSES {
        let k = c - STEP_CLASSES;
        sizes[c] = ((5 + k % 4) << (8 + k / 4)) as u16;
        c += 1;
    }
    sizes
};

const _: () = assert!(SIZES[CLASSES - 1] as usize == CLASS_MAX);
const _: () = assert!(SIZES[STEP_CLASSES - 1] as usize == STEP_MAX);

/// The class of a request of at most `STEP_MAX` bytes.
#[inline(always)]
pub const fn of_step(size: usize) -> SizeClass {
    debug_assert!(size <= STEP_MAX);
    SizeClass(((size + 15) >> 4) as u8)
}

/// The class of a request of at most `CLASS_MAX` bytes.
#[inline(always)]
pub const fn of(size: usize) -> SizeClass {
    debug_assert!(size <= CLASS_MAX);
    if size <= STEP_MAX {
        return of_step(size);
    }
    // The two bits below the leading one of size - 1 choose among the four classes of its doubling.
    let last = size - 1;
    let doubling = last.ilog2() as usize;
    let quarter = (last >> (doubling - 2)) & 3;
    SizeClass((STEP_CLASSES + (doubling - 10) * 4 + quarter) as u8)
}

/// The smallest class that serves `size` bytes at a multiple of `align`, where there is one. A block is
/// aligned to any power of two that divides its size, because slabs start at multiples of a granule.
#[inline(always)]
pub const fn of_aligned(size: usize, align: usize) -> Option<SizeClass> {
    if align <= 16 {
        return if size <= CLASS_MAX { Some(of(size)) } else { None };
    }
    of_over_aligned(size, align)
}

#[inline]
const fn of_over_aligned(size: usize, align: usize) -> Option<SizeClass> {
    if size > CLASS_MAX || align > CLASS_MAX {
        return None;
    }
    // The next power of two is a class and a multiple of the alignment: so the loop takes three steps at
    // most.
    let rounded = (size + align - 1) & !(align - 1);
    if rounded > CLASS_MAX {
        return None;
    }
    let mut class = of(if rounded == 0 { align } else { rounded });
    while !is_multiple(bytes(class), align) {
        class = SizeClass(class.0 + 1);
    }
    Some(class)
}

/// Whether a block of `usable` bytes that is to have `size` stays at least half used: it is not worth a copy.
#[inline(always)]
pub const fn is_half_used(usable: usize, size: usize) -> bool {
    size <= usable && size * 2 >= usable
}

/// Block size of a class, in bytes.
#[inline(always)]
pub const fn bytes(class: SizeClass) -> usize {
    SIZES[class.0 as usize] as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pure arithmetic: Miri looks at some sizes only.
    const STEP: usize = if cfg!(miri) { 31 } else { 1 };

    #[test]
    fn every_size_gets_the_smallest_class_that_holds_it() {
        for size in (1..=CLASS_MAX).step_by(STEP) {
            let class = of(size);
            assert!(bytes(class) >= size, "{size} in {class:?}");
            assert!(class.0 == 1 || bytes(SizeClass(class.0 - 1)) < size, "{size} in {class:?}");
        }
    }

    #[test]
    fn no_bytes_have_a_class_of_their_own() {
        assert_eq!((of(0), of(1)), (SizeClass(0), SizeClass(1)));
    }

    #[test]
    fn waste_above_the_steps_stays_under_a_quarter() {
        for size in (STEP_MAX + 1..=CLASS_MAX).step_by(STEP) {
            assert!((bytes(of(size)) - size) * 4 < size);
        }
    }

    #[test]
    fn aligned_classes_divide_by_their_alignment() {
        for shift in 0..=15 {
            let align = 1usize << shift;
            for size in (0..=CLASS_MAX).step_by(7 * STEP) {
                if let Some(class) = of_aligned(size, align) {
                    assert!(bytes(class) >= size);
                    assert!(align <= 16 || bytes(class).is_multiple_of(align), "{size} at {align}");
                } else {
                    assert!(size.next_multiple_of(align) > CLASS_MAX);
                }
            }
        }
    }
}
