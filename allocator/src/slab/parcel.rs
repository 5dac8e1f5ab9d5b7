//! A parcel: blocks of one class on their way to the heap they belong to, linked through themselves.
//!
//! ```text
//!   leaf  ──next──►  leaf  ──next──►  leaf              each leaf is a block, and names others:
//!    │ link, count    │ 0              │ 0              as many as its first 128 bytes have room for
//!    └ blocks         └ blocks         └ blocks
//! ```
//!
//! Who unpacks it reads one leaf in fifteen blocks (of 128 bytes or more): each read fetches a cache line
//! that another core wrote.

use crate::size_class;
use crate::sync::inbox::Packed;
use crate::units::SizeClass;

/// The first words of a free block that carries a parcel's part.
#[repr(C)]
struct Leaf {
    next: *mut Leaf,
    /// Of the first leaf: the link to the next parcel, and how many blocks this one has.
    parcel: Packed,
    // Behind it: blocks.
}

const LEAF_BYTES: usize = 128;
const WORD: usize = size_of::<*mut u8>();

/// Blocks that one leaf stands for, itself included.
fn per_leaf(class: SizeClass) -> usize {
    1 + (size_class::bytes(class).min(LEAF_BYTES) - size_of::<Leaf>()) / WORD
}

/// The `nth` place of a leaf for another block's pointer.
fn place(leaf: *mut Leaf, nth: usize) -> *mut *mut u8 {
    leaf.wrapping_add(1).cast::<*mut u8>().wrapping_add(nth)
}

/// Links free blocks of `class` into a parcel; the first block is its head.
///
/// # Safety
/// The blocks are free, of that class, and the caller's; there is one at least.
pub unsafe fn pack(class: SizeClass, blocks: impl ExactSizeIterator<Item = *mut u8>) -> *mut u8 {
    let per_leaf = per_leaf(class);
    let (mut head, mut last, mut full) =
        (core::ptr::null_mut::<Leaf>(), core::ptr::null_mut::<Leaf>(), per_leaf);
    for block in blocks {
        if full == per_leaf {
            let leaf: *mut Leaf = block.cast();
            // SAFETY: a free block of the caller's: at least 16 bytes, of which nobody reads.
            unsafe { leaf.write(Leaf { next: core::ptr::null_mut(), parcel: Packed::NONE }) };
            match last.is_null() {
                true => head = leaf,
                // SAFETY: a leaf that was written above.
                false => unsafe { (*last).next = leaf },
            }
            (last, full) = (leaf, 1);
        } else {
            // SAFETY: a leaf has room for `per_leaf - 1` pointers behind its words.
            unsafe { place(last, full - 1).write(block) };
            full += 1;
        }
    }
    head.cast()
}

/// Labels a parcel with its count and the link to the one behind it.
///
/// # Safety
/// `head` was packed, and is the caller's.
pub unsafe fn label(head: *mut u8, label: Packed) {
    // SAFETY: as the caller vouches.
    unsafe { (*head.cast::<Leaf>()).parcel = label };
}

/// # Safety
/// `head` was packed and labelled, and is the caller's.
pub unsafe fn label_of(head: *mut u8) -> Packed {
    // SAFETY: as the caller vouches.
    unsafe { (*head.cast::<Leaf>()).parcel }
}

/// The blocks of a parcel. Each leaf is read before it is handed over.
pub struct Parcel {
    leaf: *mut Leaf,
    /// Blocks of the leaf that went already, and blocks that are left in all.
    taken: usize,
    left: usize,
    per_leaf: usize,
}

impl Parcel {
    /// # Safety
    /// `head` was packed from `count` blocks of `class`, and is the caller's; so are the blocks from now on.
    pub unsafe fn open(head: *mut u8, class: SizeClass, count: usize) -> Parcel {
        Parcel { leaf: head.cast(), taken: 0, left: count, per_leaf: per_leaf(class) }
    }

    /// Blocks that are left in it.
    pub fn left(&self) -> usize {
        self.left
    }

    /// The head of a parcel from which nothing was taken.
    pub fn closed(self) -> *mut u8 {
        debug_assert!(self.taken == 0);
        self.leaf.cast()
    }
}

impl Iterator for Parcel {
    type Item = *mut u8;

    #[inline]
    fn next(&mut self) -> Option<*mut u8> {
        let here = self.left.min(self.per_leaf - self.taken);
        if here == 0 {
            return None;
        }
        self.left -= 1;
        if here > 1 {
            self.taken += 1;
            // SAFETY: a leaf of the parcel has a pointer for each of its other blocks; it goes last itself.
            return Some(unsafe { place(self.leaf, self.taken - 1).read() });
        }
        let leaf = self.leaf;
        // SAFETY: a leaf of the parcel, not handed over yet.
        self.leaf = unsafe { (*leaf).next };
        self.taken = 0;
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

        /// What was packed is unpacked, each block once.
        #[test]
        fn a_parcel_brings_every_block(class in 1u8..40, count in 1usize..70, link in 0u64..1 << 30) {
            let class = SizeClass(class);
            let size = size_class::bytes(class);
            let mut memory = vec![0u128; size / 16 * count];
            let start: *mut u8 = memory.as_mut_ptr().cast();
            let blocks: Vec<*mut u8> = (0..count).map(|k| start.wrapping_add(k * size)).collect();
            // SAFETY: the blocks are this test's memory.
            let head = unsafe { pack(class, blocks.iter().copied()) };
            // SAFETY: packed above.
            let packed = unsafe {
                label(head, Packed::new(link, count as u64));
                label_of(head)
            };
            prop_assert_eq!((packed.link(), packed.count()), (link, count as u64));
            // SAFETY: packed above, from so many.
            let mut got: Vec<_> = unsafe { Parcel::open(head, class, count) }.collect();
            got.sort();
            prop_assert_eq!(got, blocks);
        }
    }
}
