//! A parcel: blocks of one class on their way to the heap they belong to, linked through themselves.
//!
//! ```text
//!   leaf  ──next──►  leaf  ──next──►  leaf              each leaf is a block, and names others by their
//!    │ link, count    │ 0              │ 0              distance: as many as its first 128 bytes have
//!    └ distances      └ distances      └ distances      room for
//! ```
//!
//! Who unpacks it reads one leaf in 28 blocks (of 128 bytes or more; one in twelve of 64 bytes, each block of
//! 16): each read fetches a cache line that another core wrote.

use crate::os::prefetch;
use crate::row::{part_or_end, split_or_end};
use crate::size_class;
use crate::sync::inbox::Packed;
use crate::units::SizeClass;
use core::cell::Cell;

/// The first words of a free block that carries a parcel's part. In a block of 16 bytes the last is not
/// there.
#[repr(C)]
struct Leaf {
    next: *mut Leaf,
    /// Of the first leaf: the link to the next parcel, and how many blocks this one has.
    parcel: Packed,
    /// Blocks that the leaf stands for, itself included. Behind it are the distances of the others from it.
    here: u32,
}

/// From a leaf to a block, in units of the smallest block.
type Distance = i32;

const UNIT: usize = 16;
const LEAF_BYTES: usize = 128;
const HERE_AT: usize = core::mem::offset_of!(Leaf, here);
const DISTANCES_AT: usize = HERE_AT + size_of::<u32>();

/// Leaves that are asked for before the first is written: as many lines as the nearest cache has room for
/// beside others.
const FETCHED: usize = 64;

/// Blocks that one leaf stands for at most, itself included.
fn per_leaf(class: SizeClass) -> u32 {
    let room = size_class::bytes(class).min(LEAF_BYTES).saturating_sub(DISTANCES_AT);
    1 + (room / size_of::<Distance>()) as u32
}

/// The place of a leaf for its `nth` distance.
fn place(leaf: *mut Leaf, nth: u32) -> *mut Distance {
    leaf.cast::<u8>().wrapping_add(DISTANCES_AT).cast::<Distance>().wrapping_add(nth as usize)
}

#[inline]
fn distance(leaf: *mut Leaf, block: *mut u8) -> Option<Distance> {
    (block.addr().wrapping_sub(leaf.addr()) as isize >> UNIT.trailing_zeros()).try_into().ok()
}

/// Writes the distances of blocks into the last of them, which is their leaf: unpacked they come in the order
/// they have here. False where one is too far away.
///
/// # Safety
/// The blocks are free and the caller's, and one leaf can stand for so many.
unsafe fn bundle(blocks: &[Cell<*mut u8>]) -> bool {
    let Some((leaf, others)) = blocks.split_last() else { return false };
    let leaf = leaf.get().cast();
    others.iter().rev().zip(0..).all(|(block, nth)| match distance(leaf, block.get()) {
        // SAFETY: a free block, of which nobody reads, with room for so many distances behind its words.
        Some(distance) => unsafe {
            place(leaf, nth).write(distance);
            true
        },
        None => false,
    })
}

/// Links free blocks of `class` into a parcel. Its head.
///
/// # Safety
/// The blocks are free, of that class, and the caller's; there is one at least.
pub unsafe fn pack(class: SizeClass, blocks: &[Cell<*mut u8>]) -> *mut u8 {
    let per_leaf = per_leaf(class) as usize;
    // Most of them were last written on another processor.
    let leaves = blocks.iter().skip(per_leaf - 1).step_by(per_leaf).take(FETCHED);
    leaves.for_each(|leaf| prefetch::to_write(leaf.get()));
    let (mut head, mut last) = (core::ptr::null_mut::<Leaf>(), core::ptr::null_mut::<Leaf>());
    let mut rest = blocks;
    while !rest.is_empty() {
        let most = per_leaf.min(rest.len());
        // SAFETY: as the caller vouches.
        let bundled = unsafe { bundle(part_or_end(rest, 0..most)) };
        // Too far apart: each for itself.
        let here = if bundled { most } else { 1 };
        let (these, behind) = split_or_end(rest, here);
        let Some(leaf) = these.last().map(|block| block.get().cast::<Leaf>()) else { break };
        if per_leaf > 1 {
            // SAFETY: it has room for a distance, so it has this word.
            unsafe { (&raw mut (*leaf).here).write(here as u32) };
        }
        match last.is_null() {
            true => head = leaf,
            // SAFETY: the leaf before.
            false => unsafe { (&raw mut (*last).next).write(leaf) },
        }
        (last, rest) = (leaf, behind);
    }
    // SAFETY: the last leaf; there is one, as the caller vouches.
    unsafe { (&raw mut (*last).next).write(core::ptr::null_mut()) };
    head.cast()
}

/// Labels a parcel with its count and the link to the one behind it.
///
/// # Safety
/// `head` was packed, and is the caller's.
pub unsafe fn label(head: *mut u8, label: Packed) {
    // SAFETY: as the caller vouches.
    unsafe { (&raw mut (*head.cast::<Leaf>()).parcel).write(label) };
}

/// # Safety
/// `head` was packed and labelled, and is the caller's.
pub unsafe fn label_of(head: *mut u8) -> Packed {
    // SAFETY: as the caller vouches.
    unsafe { (&raw const (*head.cast::<Leaf>()).parcel).read() }
}

/// The blocks of a parcel. Each leaf is read before it is handed over.
pub struct Parcel {
    leaf: *mut Leaf,
    /// The leaf behind it, on its way to the cache.
    next: *mut Leaf,
    /// Distances of the leaf that are left, and blocks that are left in all.
    here: u32,
    left: usize,
    /// Leaves stand for more than themselves.
    bundled: bool,
}

impl Parcel {
    /// # Safety
    /// `head` was packed from `count` blocks of `class`, and is the caller's; so are the blocks from now on.
    pub unsafe fn open(head: *mut u8, class: SizeClass, count: usize) -> Parcel {
        let bundled = per_leaf(class) > 1;
        let mut parcel =
            Parcel { leaf: head.cast(), next: core::ptr::null_mut(), here: 0, left: count, bundled };
        // SAFETY: as the caller vouches.
        unsafe { parcel.read_leaf() };
        parcel
    }

    /// Blocks that are left in it.
    pub fn left(&self) -> usize {
        self.left
    }

    /// The head of a parcel from which nothing was taken.
    pub fn closed(self) -> *mut u8 {
        self.leaf.cast()
    }

    /// # Safety
    /// The leaf is one of the parcel's.
    unsafe fn read_leaf(&mut self) {
        // SAFETY: as the caller vouches: `pack` wrote it.
        self.next = unsafe { (&raw const (*self.leaf).next).read() };
        prefetch::to_read(self.next.cast());
        if self.bundled {
            // SAFETY: as above.
            self.here = unsafe { (&raw const (*self.leaf).here).read() } - 1;
        }
    }
}

impl Iterator for Parcel {
    type Item = *mut u8;

    #[inline]
    fn next(&mut self) -> Option<*mut u8> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        if self.here > 0 {
            self.here -= 1;
            // SAFETY: `pack` wrote a distance for each of the leaf's other blocks; the leaf goes last.
            let distance = unsafe { place(self.leaf, self.here).read() };
            return Some(self.leaf.cast::<u8>().wrapping_offset(distance as isize * UNIT as isize));
        }
        let leaf = self.leaf;
        if self.left > 0 {
            self.leaf = self.next;
            // SAFETY: a leaf of the parcel: more blocks are left than the one before stood for.
            unsafe { self.read_leaf() };
        }
        Some(leaf.cast())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 8 } else { 128 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// What was packed is unpacked, in its order.
        #[test]
        fn a_parcel_brings_every_block(class in 1u8..40, count in 1usize..70, link in 0u64..1 << 30) {
            let class = SizeClass(class);
            let size = size_class::bytes(class);
            let mut memory = vec![0u128; size / 16 * count];
            let start: *mut u8 = memory.as_mut_ptr().cast();
            let blocks: Vec<_> = (0..count).map(|k| Cell::new(start.wrapping_add(k * size))).collect();
            // SAFETY: the blocks are this test's memory.
            let head = unsafe { pack(class, &blocks) };
            // SAFETY: packed above.
            let packed = unsafe {
                label(head, Packed::new(link, count as u64));
                label_of(head)
            };
            prop_assert_eq!((packed.link(), packed.count()), (link, count as u64));
            // SAFETY: packed above, from so many.
            let got: Vec<_> = unsafe { Parcel::open(head, class, count) }.map(Cell::new).collect();
            prop_assert_eq!(got, blocks);
        }
    }
}
