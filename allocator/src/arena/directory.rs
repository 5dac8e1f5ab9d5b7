//! From a granule to the tables of its block: a map of two levels over all addresses, read without a lock.
//!
//! ```text
//!   far    2048 × 2048 blocks: all 48 bits of addresses, in leaves that are mapped when they are needed
//!   near   the leaf of the arena's first addresses, 128 GiB of them: it is there
//! ```
//!
//! Edge BLOCK: `set` (Release) behind the making of the tables → `get` (Acquire). Who holds a granule needs
//! no more than that its holding came behind it; others may ask about any address.
#![allow(unsafe_code)]

use super::block::{Block, Head};
use crate::base::checked::Checked;
use crate::base::units::round_up;
use crate::base::why::Why;
use crate::os::Os;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

/// Slots of a leaf, and leaves.
const SLOTS: usize = 2048;

type Leaf = Checked<AtomicPtr<Head>, SLOTS>;

/// The memory of a directory. Zero bytes are an empty one.
#[repr(C)]
pub struct Levels {
    /// Which leaf is `near`. Written before anybody else knows of the directory.
    near_at: usize,
    near: Leaf,
    far: Checked<AtomicPtr<Leaf>, SLOTS>,
}

/// Where a directory is. Only single slots are referred to: Miri checks all that a reference leads to, at
/// each use of one.
#[derive(Clone, Copy)]
pub struct Directory(*const Levels);

impl Directory {
    /// A directory in memory that reads as zero. The leaf of a block needs no mapping.
    ///
    /// # Safety
    /// The memory is this directory's, and stays until nobody asks it any more.
    pub unsafe fn begin(levels: *mut Levels, number: u32) -> Directory {
        // SAFETY: as the caller vouches.
        unsafe { (&raw mut (*levels).near_at).write(number as usize / SLOTS) };
        Directory(levels)
    }

    /// Its memory.
    pub fn levels(self) -> *mut Levels {
        self.0.cast_mut()
    }

    /// The block of a number, if it has tables.
    #[inline]
    pub fn get(self, number: u32) -> Option<Block> {
        // BLOCK (Acquire), here and below.
        let head = self.slot(number)?.load(Ordering::Acquire);
        (!head.is_null()).then_some(Block(head))
    }

    /// Enters a block. False where there is no memory for the leaf.
    pub fn set<O: Os>(self, os: &O, number: u32, block: Block, why: Why) -> bool {
        if self.slot(number).is_none() {
            let Some(len) = round_up(size_of::<Leaf>(), os.page()) else { return false };
            let Some(leaf) = os.map(len, why) else { return false };
            // BLOCK (Release): the leaf's zeros; only the holder of the arena's lock writes here.
            self.far(number as usize / SLOTS).store(leaf.cast(), Ordering::Release);
        }
        let slot = self.slot(number);
        if let Some(slot) = slot {
            // BLOCK (Release).
            slot.store(block.0, Ordering::Release);
        }
        slot.is_some()
    }

    /// Strikes a block out.
    pub fn clear(self, number: u32) {
        if let Some(slot) = self.slot(number) {
            // Relaxed: who asks about a granule that nobody holds may get either answer.
            slot.store(null_mut(), Ordering::Relaxed);
        }
    }

    /// All blocks, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Block> {
        let leaves = (0..SLOTS as u32).filter(move |&at| self.leaf(at as usize).is_some());
        let numbers = leaves.flat_map(|leaf| (0..SLOTS as u32).map(move |at| leaf * SLOTS as u32 + at));
        numbers.filter_map(move |number| self.get(number))
    }

    /// Unmaps the leaves, when nobody asks any more.
    pub fn unmap_leaves<O: Os>(self, os: &O, why: Why) {
        for at in 0..SLOTS {
            let leaf = self.far(at).swap(null_mut(), Ordering::Relaxed);
            if let Some(len) = round_up(size_of::<Leaf>(), os.page()).filter(|_| !leaf.is_null()) {
                // SAFETY: the mapping that `set` made, out of use.
                unsafe { os.unmap(leaf.cast(), len, why) };
            }
        }
    }

    #[inline]
    fn slot(self, number: u32) -> Option<&'static AtomicPtr<Head>> {
        let leaf = self.leaf(number as usize / SLOTS)?;
        // SAFETY: a leaf, and a slot of it.
        Some(unsafe { &*leaf.cast::<AtomicPtr<Head>>().add(number as usize % SLOTS) })
    }

    /// A leaf, where there is one.
    #[inline]
    fn leaf(self, at: usize) -> Option<*const Leaf> {
        // SAFETY: the directory's memory (`begin`).
        if at == unsafe { (*self.0).near_at } {
            // SAFETY: the directory has a leaf in it, of which only the address is taken.
            return Some(unsafe { &raw const (*self.0).near });
        }
        let leaf = self.far(at).load(Ordering::Acquire);
        (!leaf.is_null()).then_some(leaf.cast_const())
    }

    #[inline]
    fn far(self, at: usize) -> &'static AtomicPtr<Leaf> {
        // SAFETY: the directory's memory (`begin`), and a slot of it.
        unsafe { &*(&raw const (*self.0).far).cast::<AtomicPtr<Leaf>>().add(at % SLOTS) }
    }
}
