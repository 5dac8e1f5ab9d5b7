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
//! 1. `carved - used` bits are set, all of them below `carved`.
//! 2. A clean page holds nothing of a block that is out, nor of one that was handed out since it was purged.
//! 3. What is not carved yet of a `zeroed` slab reads as zero, and has no memory behind it.

pub mod bitmap;
pub mod central;
mod depot;
pub mod handed_out;
mod lists;
pub mod noted;
mod pages;
pub mod parcel;
pub mod round;
pub mod site;
pub mod slack;
pub mod slot;
pub mod stamp;
pub mod starts;

use crate::config::GRANULE;
use crate::units::SizeClass;
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

    /// Whether the block at an index is in the slab, not out.
    pub fn has(&self, at: usize) -> bool {
        at >= self.carved as usize || self.free.contains(at)
    }

    /// Puts the block at an offset back, which is of `class`, the slab's: who does it counts it in `used`.
    /// What is wrong where there is none, or where it is there already.
    #[inline]
    pub fn put_back(&mut self, class: SizeClass, offset: usize) -> Result<(), &'static CStr> {
        let Some(at) = index_of(class, offset).filter(|&at| at < self.carved as usize) else {
            return Err(c"free(): invalid pointer");
        };
        if self.free.insert(at) { Ok(()) } else { Err(c"free(): double free detected") }
    }
}
