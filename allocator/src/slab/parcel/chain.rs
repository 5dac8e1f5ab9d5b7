//! Chains: parcels of blocks of 16 bytes, which have room to name one other, and of single blocks of any
//! size.
//!
//! ```text
//!   bytes   0 …… 4       4 …… 8   8 … 12   12 … 16
//!           the parcel's label    stamp    next        the first one: the seal of the second is its own too
//!           seal         –        stamp    next
//! ```
#![allow(unsafe_code)]

use super::leaf::{Distance, Leaf, Sum};
use crate::base::units::{SizeClass, halves};
use crate::os::{Os, prefetch};
use crate::slab::site::Site;
use crate::slab::slot::Slot;
use crate::slab::stamp;

/// Over what a block says and the one that names it.
#[inline]
fn seal(secret: u64, block: Leaf, before: Leaf, next: Distance) -> u32 {
    Sum::new(secret, block, before.0.addr() as u64).seal(next as u32 as u64)
}

/// Links free blocks into a parcel: the first of them, as many as are near enough to each other. Its head,
/// and how many they are, one at least.
///
/// # Safety
/// The blocks are free and the caller's; there is one at least.
pub unsafe fn pack(secret: u64, blocks: &[Slot]) -> (*mut u8, usize) {
    let (mut before, mut count) = (Leaf::NONE, 0);
    let mut nexts = blocks.iter().skip(1);
    for block in blocks.iter().map(|block| Leaf(block.get())) {
        let next = nexts.next().and_then(|next| block.distance(next.get())).unwrap_or(0);
        // SAFETY: as the caller vouches.
        unsafe {
            block.at::<u64>(stamp::AT).write(stamp::with(next as u32));
            if before != Leaf::NONE {
                block.at::<u32>(0).write(seal(secret, block, before, next));
            }
        }
        (before, count) = (block, count + 1);
        if next == 0 {
            break;
        }
    }
    (blocks.first().map_or(core::ptr::null_mut(), Slot::get), count)
}

/// The blocks of a parcel. Each is read before it is handed over.
pub struct Chain {
    secret: u64,
    block: Leaf,
    next: Distance,
    left: usize,
}

impl Chain {
    /// None where the first block names what is none.
    ///
    /// # Safety
    /// A block of `class` begins at `head`. If a parcel of `count` blocks of it does, it is the caller's.
    pub unsafe fn open<O: Os>(
        site: &Site<O>,
        class: SizeClass,
        head: *mut u8,
        count: usize,
    ) -> Option<Chain> {
        // SAFETY: as the caller vouches.
        let chain = unsafe { Chain::known(site.secret(), head, count) };
        // What it names has to be looked at before it is read there whether that is right.
        let next = chain.block.block(chain.next);
        (count == 1 || site.class_at(next) == Some(class)).then_some(chain)
    }

    /// # Safety
    /// As for `open`, and what the first block names is one.
    pub unsafe fn known(secret: u64, head: *mut u8, count: usize) -> Chain {
        let block = Leaf(head);
        // SAFETY: as the caller vouches.
        let next = unsafe { block.at::<Distance>(stamp::AT + size_of::<u32>()).read() };
        Chain { secret, block, next, left: count }
    }

    /// Puts the next blocks into places, as long as there are both. How many, and the block where it ends
    /// before its time.
    pub fn unpack(&mut self, places: &[Slot]) -> (usize, Option<*mut u8>) {
        let mut count = 0;
        for place in places.iter().take(self.left) {
            place.set(self.block.0);
            (count, self.left) = (count + 1, self.left - 1);
            // SAFETY: the first one was looked at, and what names the others is whole.
            if self.left > 0 && !unsafe { self.read() } {
                self.left = 0;
                return (count, Some(self.block.0));
            }
        }
        (count, None)
    }

    /// Goes on to the next block. Whether it is what it was.
    ///
    /// # Safety
    /// A block of the class begins where the present one says.
    unsafe fn read(&mut self) -> bool {
        let (before, block) = (self.block, Leaf(self.block.block(self.next)));
        // SAFETY: as the caller vouches.
        let (sealed, word) = unsafe { (block.at::<u32>(0).read(), block.at::<u64>(stamp::AT).read()) };
        let next = halves(word)[1] as Distance;
        (self.block, self.next) = (block, next);
        prefetch::to_read(block.block(next));
        word == stamp::with(next as u32)
            && sealed == seal(self.secret, block, before, next)
            && (next == 0) == (self.left == 1)
    }
}
