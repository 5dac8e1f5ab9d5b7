//! A slab: one granule carved into blocks of one class.
//!
//! ```text
//!   granule   │ block │ block │ block │ block │ not carved yet …        │
//!   record     free ───────────► 2 ──► 0          (out of line: nothing of ours between the blocks)
//!              used 2, carved 4
//! ```
//!
//! States: *full* (nothing free, everything carved; in no list) → *partial* (listed) → *empty* (no
//! block out; kept, or retired to the arena). A block counts as used while it is anywhere but in its
//! slab: with the program, in a magazine, in a depot, on its way in an inbox.
//!
//! Invariant: the free list holds `carved - used` blocks.

pub mod central;
pub mod free_list;

use crate::arena::{Geometry, RECORD};
use crate::config::{GRANULE, GRANULE_SHIFT};
use crate::size_class::{self, ByClass, CLASSES};
use crate::units::{GranuleIdx, SizeClass};
use free_list::Link;

/// The record of a granule that is a slab. Guarded by the lock of the heap that owns it.
#[repr(C)]
pub struct Slab {
    pub free: *mut Link,
    /// Neighbours in the list of the class's partial slabs: granule index plus one, or 0.
    pub next: u32,
    pub prev: u32,
    pub used: u16,
    pub carved: u16,
    pub class: SizeClass,
    pub listed: bool,
    /// What is not carved yet reads as zero.
    pub zeroed: bool,
}

const _: () = assert!(size_of::<Slab>() <= RECORD);
const _: () = assert!(GRANULE / 16 <= u16::MAX as usize);

impl Slab {
    pub fn new(class: SizeClass) -> Self {
        Slab {
            free: core::ptr::null_mut(),
            next: 0,
            prev: 0,
            used: 0,
            carved: 0,
            class,
            listed: false,
            zeroed: false,
        }
    }

    /// Blocks in the free list.
    pub fn free_count(&self) -> u32 {
        (self.carved - self.used) as u32
    }

    /// No block is out, though there are some.
    pub fn is_empty(&self) -> bool {
        self.used == 0 && self.carved > 0
    }

    pub fn exhausted(&self) -> bool {
        self.used == CAPACITY[self.class.0 as usize]
    }
}

/// Blocks of a slab, by class.
pub const CAPACITY: ByClass<u16> = {
    let mut capacity = [0; 256];
    let mut class = 0;
    while class < CLASSES {
        capacity[class] = (GRANULE / size_class::bytes(SizeClass(class as u8))) as u16;
        class += 1;
    }
    capacity
};

/// The record of a granule.
///
/// # Safety
/// The granule was gained by the arena of this geometry.
pub unsafe fn record(geometry: &Geometry, granule: GranuleIdx) -> *mut Slab {
    geometry.records.wrapping_add(granule.0 as usize * RECORD).cast()
}

/// The first byte of a granule.
pub fn start(geometry: &Geometry, granule: GranuleIdx) -> *mut u8 {
    geometry.base.wrapping_add((granule.0 as usize) << GRANULE_SHIFT)
}
