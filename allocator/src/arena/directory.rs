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
use crate::os::Os;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

/// Slots of a leaf, and leaves.
const SLOTS: usize = 2048;

#[repr(C)]
struct Leaf(Checked<AtomicPtr<Head>, SLOTS>);

/// Zero bytes are an empty directory.
#[repr(C)]
pub struct Directory {
    /// Which leaf is `near`. Written before anybody else knows of the directory.
    near_at: usize,
    near: Leaf,
    far: Checked<AtomicPtr<Leaf>, SLOTS>,
}

impl Directory {
    /// Has the leaf of a block need no mapping.
    pub fn begin_at(&mut self, number: u32) {
        self.near_at = number as usize / SLOTS;
    }

    /// The block of a number, if it has tables.
    #[inline]
    pub fn get(&self, number: u32) -> Option<Block> {
        // BLOCK (Acquire), here and below.
        let head = self.slot(number)?.load(Ordering::Acquire);
        (!head.is_null()).then_some(Block(head))
    }

    /// Enters a block. False where there is no memory for the leaf.
    pub fn set<O: Os>(&self, os: &O, number: u32, block: Block) -> bool {
        if self.slot(number).is_none() {
            let Some(len) = round_up(size_of::<Leaf>(), os.page()) else { return false };
            let Some(leaf) = os.map(len) else { return false };
            // BLOCK (Release): the leaf's zeros; only the holder of the arena's lock writes here.
            self.far[number as usize / SLOTS].store(leaf.cast(), Ordering::Release);
        }
        let slot = self.slot(number);
        if let Some(slot) = slot {
            // BLOCK (Release).
            slot.store(block.0, Ordering::Release);
        }
        slot.is_some()
    }

    /// Strikes a block out.
    pub fn clear(&self, number: u32) {
        if let Some(slot) = self.slot(number) {
            // Relaxed: who asks about a granule that nobody holds may get either answer.
            slot.store(null_mut(), Ordering::Relaxed);
        }
    }

    /// All blocks, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = Block> {
        let leaves = (0..SLOTS).filter_map(|at| self.leaf(at));
        leaves.flat_map(|leaf| &leaf.0.0).filter_map(|slot| {
            let head = slot.load(Ordering::Acquire);
            (!head.is_null()).then_some(Block(head))
        })
    }

    /// Unmaps the leaves, when nobody asks any more.
    pub fn unmap_leaves<O: Os>(&self, os: &O) {
        for leaf in &self.far.0 {
            let at = leaf.swap(null_mut(), Ordering::Relaxed);
            if let Some(len) = round_up(size_of::<Leaf>(), os.page()).filter(|_| !at.is_null()) {
                // SAFETY: the mapping that `set` made, out of use.
                unsafe { os.unmap(at.cast(), len) };
            }
        }
    }

    #[inline]
    fn slot(&self, number: u32) -> Option<&AtomicPtr<Head>> {
        let (leaf, slot) = (number as usize / SLOTS, number as usize % SLOTS);
        Some(&self.leaf(leaf)?.0[slot])
    }

    #[inline]
    fn leaf(&self, at: usize) -> Option<&Leaf> {
        if at == self.near_at {
            return Some(&self.near);
        }
        // SAFETY: null, or a leaf that `set` mapped and that is never unmapped.
        unsafe { self.far[at].load(Ordering::Acquire).as_ref() }
    }
}
