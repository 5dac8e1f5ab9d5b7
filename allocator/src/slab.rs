//! A slab: one granule carved into blocks of one class.
//!
//! ```text
//!   granule   │ block │ block │ block │ block │ not carved yet …        │
//!   record     free: 0 1 1 0            (out of line: what is said in a free block is never trusted)
//!              used 2, carved 4
//! ```
//!
//! States: *full* (nothing free, everything carved; in no list) → *partial* (listed) → *empty* (no
//! block out; kept, or retired to the arena). A block counts as used while it is anywhere but in its
//! slab: with the program, in a magazine (of any thread), in a depot, on its way in an inbox.
//!
//! Invariants:
//! - I7: `carved - used` bits are set, all of them below `carved`.
//! - I8: A clean page holds nothing of a block that is out, nor of one that was handed out since it was
//!   purged.
//! - I9: What is not carved yet of a `zeroed` slab reads as zero, and has no memory behind it.
#![allow(unsafe_code)]

pub mod bitmap;
mod depot;
pub mod handed_out;
mod lists;
pub mod noted;
mod pages;
pub mod parcel;
pub mod round;
pub mod site;
pub mod slabs;
pub mod slack;
pub mod slot;
pub mod stamp;
pub mod starts;

use crate::arena::{Geometry, RECORD};
use crate::base::config::GRANULE;
use crate::base::units::{GranuleIdx, SizeClass};
use bitmap::Bitmap;
use core::ffi::CStr;
use core::ops::Range;
use lists::Place;
use pages::Pages;
pub use starts::{block_at, capacity, index_of};

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
    /// Which words of the bits have any; see `bitmap`.
    summary: u64,
}

const _: () = assert!(size_of::<Slab>() <= RECORD);
const _: () = assert!(GRANULE / 16 <= u16::MAX as usize);

impl Slab {
    /// Makes the record of a slab without blocks, and its bits. Nothing is known to read as zero.
    fn reset(&mut self, bits: &mut [u64], class: SizeClass) {
        (self.next, self.prev, self.used, self.carved) = (0, 0, 0, 0);
        (self.class, self.place, self.zeroed) = (class, Place::None, false);
        (self.clean, self.round) = (Pages::NONE, 0);
        self.free(bits).clear();
    }

    /// Which blocks are free, by the slab's bits.
    #[inline]
    fn free<'a>(&'a mut self, bits: &'a mut [u64]) -> Bitmap<'a> {
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

    /// Puts the block at an offset back, which is of `class`, the slab's: who does it counts it in `used`.
    /// What is wrong where there is none, or where it is there already.
    #[inline]
    pub fn put_back(
        &mut self,
        bits: &mut [u64],
        class: SizeClass,
        offset: usize,
    ) -> Result<(), &'static CStr> {
        let Some(at) = index_of(class, offset).filter(|&at| at < self.carved as usize) else {
            return Err(c"free(): invalid pointer");
        };
        if self.free(bits).insert(at) { Ok(()) } else { Err(c"free(): double free detected") }
    }
}

/// The record of a slab of a class, and its bits.
///
/// # Safety
/// A slab's granule, of which nobody else has a reference to these.
#[inline]
unsafe fn parts_of<'a>(
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
