//! The record of a slab: what is known of it, outside of it.
#![allow(unsafe_code)]

use super::bitmap::{self, Bitmap, first_clear};
use super::pages::Pages;
use super::slot::Slot;
use super::starts::{Indices, block_at, capacity};
use crate::arena::{Geometry, RECORD};
use crate::base::config::GRANULE;
use crate::base::size_class;
use crate::base::units::{GranuleIdx, SizeClass, div_up};
use core::ffi::CStr;
use core::ops::Range;

/// Which list a slab is in. In order of what happens when a block comes back: up to `Seen` it becomes fresh.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Place {
    /// In none: nothing of it is free.
    None,
    Seen,
    Fresh,
    Away,
}

/// The record of a granule that is a slab. Guarded by the lock of the heap that owns it.
#[repr(C)]
pub struct Slab {
    /// Neighbours in its list: granule index plus one, or 0.
    pub next: u32,
    pub prev: u32,
    pub used: u16,
    pub carved: u16,
    pub class: SizeClass,
    pub place: Place,
    pub zeroed: bool,
    /// Pages that were purged, and of which no block was handed out since.
    pub clean: Pages,
    /// The round in which its pages were last looked at.
    pub round: u16,
    /// Which words of the bits have any; see `bitmap`.
    summary: u64,
}

const _: () = assert!(size_of::<Slab>() <= RECORD);
const _: () = assert!(GRANULE / 16 <= u16::MAX as usize);

impl Slab {
    /// Makes the record of a slab without blocks, and its bits. Nothing is known to read as zero.
    pub fn reset(&mut self, bits: &mut [u64], class: SizeClass) {
        (self.next, self.prev, self.used, self.carved) = (0, 0, 0, 0);
        (self.class, self.place, self.zeroed) = (class, Place::None, false);
        (self.clean, self.round) = (Pages::NONE, 0);
        self.free(bits).clear();
    }

    /// Which blocks are free, by the slab's bits.
    #[inline]
    pub fn free<'a>(&'a mut self, bits: &'a mut [u64]) -> Bitmap<'a> {
        Bitmap { summary: &mut self.summary, words: bits }
    }

    /// Blocks that are free and carved.
    pub fn free_count(&self) -> u32 {
        (self.carved - self.used) as u32
    }

    /// Whether a block that is out lies in a part of the slab, of offsets.
    ///
    /// # Safety
    /// A slab's granule, whose record nobody changes meanwhile.
    pub unsafe fn is_used(geometry: &Geometry, granule: GranuleIdx, part: Range<usize>) -> bool {
        // SAFETY: as the caller vouches.
        let class = unsafe { (*geometry.record(granule).cast::<Slab>()).class };
        // SAFETY: as the caller vouches.
        let (slab, bits) = unsafe { parts_of(geometry, granule, class) };
        let end = (block_at(slab.class, part.end - 1) + 1).min(slab.carved as usize);
        bitmap::first_clear(bits, block_at(slab.class, part.start)..end).is_some()
    }

    pub fn exhausted(&self) -> bool {
        self.used == capacity(self.class)
    }

    /// Whether the block at an index is in the slab, not out.
    pub fn has(&self, bits: &[u64], at: usize) -> bool {
        at >= self.carved as usize || bitmap::contains(bits, at)
    }

    /// Puts the block at an offset back. Who does it counts it in `used`.
    #[inline(always)]
    pub fn put(&mut self, bits: &mut [u64], indices: Indices, offset: usize) -> Result<(), Wrong> {
        let at = indices.at(offset, self.carved).ok_or(Wrong::NoBlock)?;
        if self.free(bits).insert(at) { Ok(()) } else { Err(Wrong::There) }
    }

    /// Puts blocks back, from the first on, as long as they are of this slab, which starts at the address
    /// `from`: how many those are. Who does it counts them in `used`. The indices are those of the slab's
    /// class.
    // Out of line: the loop has its registers for itself.
    #[inline(never)]
    pub fn put_back(&mut self, bits: &mut [u64], indices: Indices, from: usize, blocks: &[Slot]) -> usize {
        let is_back = |slot: &Slot| {
            let offset = slot.get().addr().wrapping_sub(from);
            offset < GRANULE && self.put(bits, indices, offset).is_ok()
        };
        blocks.iter().map(is_back).take_while(|&back| back).count()
    }

    /// So many blocks were put back, at least one. How many are out and where the slab is listed, if it is to
    /// be elsewhere now: the first ones came back, or the last.
    #[inline]
    pub fn count_back(&mut self, count: usize) -> Option<(u16, Place)> {
        self.used -= count as u16;
        (self.used == 0 || self.place < Place::Fresh).then_some((self.used, self.place))
    }

    /// Its pages of which nothing was carved, where those read as zero.
    pub fn never_used(&self, page: usize) -> Pages {
        match self.zeroed {
            true => Pages::all(page)
                .without(Pages::holding(page, 0..self.carved as usize * size_class::bytes(self.class))),
            false => Pages::NONE,
        }
    }

    /// Its pages that hold nothing of a block that is out. What is not carved yet is free.
    pub fn free_pages(&self, bits: &[u64], page: usize) -> Pages {
        let (size, mut free, mut from) = (size_class::bytes(self.class), Pages::all(page), 0);
        // From block to block that is out. Those that end in a page known to be held are not asked.
        while let Some(out) = first_clear(bits, from..self.carved as usize) {
            let held = out * size..(out + 1) * size;
            let end = div_up(held.end, page) << page.trailing_zeros();
            free = free.without(Pages::holding(page, held));
            if end >= GRANULE {
                break;
            }
            // The block that has the next page's first byte. It comes behind this one, which ends before
            // there.
            from = block_at(self.class, end);
        }
        free
    }
}

/// Why a block cannot be put back into a slab.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// No block begins there, or it was never handed out.
    NoBlock,
    /// It is in the slab already.
    There,
}

impl Wrong {
    pub fn message(self) -> &'static CStr {
        match self {
            Wrong::NoBlock => c"free(): invalid pointer",
            Wrong::There => c"free(): double free detected",
        }
    }
}

/// The record of a slab of a class, and its bits.
///
/// # Safety
/// A slab's granule, of which nobody else has a reference to these.
#[inline]
pub unsafe fn parts_of<'a>(
    geometry: &Geometry,
    granule: GranuleIdx,
    class: SizeClass,
) -> (&'a mut Slab, &'a mut [u64]) {
    let (words, table) = bitmap::words(class);
    // SAFETY: as the caller vouches.
    let (slab, bits) = unsafe { geometry.record_and_bits(granule, table) };
    // SAFETY: no other reference to it (I10). Whatever `slabs` wrote there, and zeros, are a record.
    let slab = unsafe { &mut *slab.cast() };
    // SAFETY: no other reference to them (I10); the table has room for so many.
    (slab, unsafe { core::slice::from_raw_parts_mut(bits, words) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::SizeClass;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const PAGES: [usize; 3] = [4 << 10, 16 << 10, 64 << 10];

    fn slab(class: SizeClass, carved: usize, out: &[usize]) -> (Slab, [u64; 64]) {
        // SAFETY: zeros are a record.
        let (mut slab, mut bits): (Slab, _) = (unsafe { core::mem::zeroed() }, [0; 64]);
        slab.reset(&mut bits, class);
        slab.carved = carved as u16;
        slab.used = out.len() as u16;
        let mut free = slab.free(&mut bits);
        (0..carved).filter(|block| !out.contains(block)).for_each(|block| assert!(free.insert(block)));
        (slab, bits)
    }

    fn set(pages: Pages, page: usize) -> Vec<usize> {
        pages.ranges(page).flatten().step_by(page).map(|at| at / page).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 2 } else { 512 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// A page is free where no block that is out has a byte of it.
        #[test]
        fn a_block_that_is_out_keeps_its_pages_and_no_others(
            class in 1u8..85,
            carved in 0.0..=1.0f64,
            out in prop::collection::vec(0.0..1.0f64, 0..20),
            page in 0..3usize,
        ) {
            let (class, page) = (SizeClass(class), PAGES[page]);
            let (size, all) = (size_class::bytes(class), capacity(class) as usize);
            let carved = (carved * all as f64) as usize;
            let out: BTreeSet<usize> = out.iter().map(|at| (at * carved as f64) as usize).collect();
            let out: Vec<usize> = out.into_iter().filter(|&at| at < carved).collect();
            let expected: Vec<usize> = (0..GRANULE / page)
                .filter(|p| out.iter().all(|at| at * size >= (p + 1) * page || (at + 1) * size <= p * page))
                .collect();
            let (slab, bits) = slab(class, carved, &out);
            prop_assert_eq!(set(slab.free_pages(&bits, page), page), expected);
        }
    }
}
