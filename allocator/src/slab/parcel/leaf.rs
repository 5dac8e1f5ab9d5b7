//! A leaf: a free block that carries a part of a parcel, and names others by their distance from it.

/// From a leaf to a block, in steps of the smallest block. 0 is none.
pub type Distance = i32;

const STEP: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Leaf(pub *mut u8);

impl Leaf {
    pub const NONE: Leaf = Leaf(core::ptr::null_mut());

    /// A word of the leaf's.
    #[inline]
    pub fn at<T>(self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset).cast()
    }

    /// None where the block is too far away.
    #[inline]
    pub fn distance(self, block: *mut u8) -> Option<Distance> {
        (block.addr().wrapping_sub(self.0.addr()) as isize >> STEP.trailing_zeros()).try_into().ok()
    }

    #[inline]
    pub fn block(self, distance: Distance) -> *mut u8 {
        self.0.wrapping_offset(distance as isize * STEP as isize)
    }
}

/// A sum over what a leaf says, under a secret. Each word changes what all that come behind it do, so no
/// single change goes unseen.
pub struct Sum(u64);

impl Sum {
    /// For a leaf, and what else it must be of.
    #[inline]
    pub fn new(secret: u64, leaf: Leaf, of: u64) -> Sum {
        Sum(secret ^ (leaf.0.addr() as u64).rotate_left(24) ^ of)
    }

    #[inline]
    pub fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    /// The sum with a last word.
    #[inline]
    pub fn seal(mut self, word: u64) -> u32 {
        self.add(word);
        (self.0 >> 32) as u32
    }
}
