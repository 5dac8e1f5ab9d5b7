//! Bundles: leaves of 32 bytes and more, which stand for as many blocks as their first 128 bytes have room to
//! name.
//!
//! ```text
//!   bytes   0 …… 8                8 … 12   12 … 16   16 … 20   20 …… 128
//!           (of the first one:    stamp    seal      next      distances of the others, the oldest first
//!           the parcel's label)
//! ```
#![allow(unsafe_code)]

use super::leaf::{Distance, Leaf, Sum};
use crate::base::checked::{part_or_end, split_or_end};
use crate::base::size_class;
use crate::base::units::{SizeClass, halves, side_by_side};
use crate::os::prefetch;
use crate::slab::slot::Slot;
use crate::slab::stamp;

const LEAF_BYTES: usize = 128;
const WORDS_AT: usize = 16;
const WORDS: usize = (LEAF_BYTES - WORDS_AT) / size_of::<u64>();

/// Leaves that are asked for before the first is written: as many lines as the nearest cache has room for
/// beside others.
const FETCHED: usize = 64;

/// Blocks that one leaf stands for at most, itself included: it has two distances a word, and the first one
/// is that of the next leaf.
fn per_leaf(class: SizeClass) -> usize {
    (size_class::bytes(class).min(LEAF_BYTES) - WORDS_AT) / size_of::<Distance>()
}

#[inline]
fn word(first: Distance, second: Distance) -> u64 {
    side_by_side(first as u32, second as u32)
}

/// The distances of the words, in their order.
#[inline]
fn distances(words: &[u64; WORDS]) -> &[Distance; 2 * WORDS] {
    // SAFETY: the same bytes, of which every value is a distance; a word is aligned as two of them.
    unsafe { &*core::ptr::from_ref(words).cast() }
}

/// A leaf that waits for the one behind it.
struct Open {
    leaf: Leaf,
    first: Distance,
    sum: Sum,
}

impl Open {
    /// Writes the distances of blocks into the last of them, which is their leaf. None where one is too far
    /// away.
    ///
    /// # Safety
    /// The blocks are free and the caller's, and one leaf can stand for so many.
    unsafe fn new(secret: u64, blocks: &[Slot]) -> Option<Open> {
        let (leaf, others) = blocks.split_last()?;
        let leaf = Leaf(leaf.get());
        let mut sum = Sum::new(secret, leaf, blocks.len() as u64);
        let Some((first, others)) = others.split_first() else { return Some(Open { leaf, first: 0, sum }) };
        let pairs = others.chunks_exact(2);
        let last = pairs.remainder();
        let mut place = leaf.at::<u64>(WORDS_AT);
        let mut write = |word| {
            place = place.wrapping_add(1);
            sum.add(word);
            // SAFETY: a free block, of which nobody reads, with room for so many distances (caller).
            unsafe { place.write(word) };
        };
        for pair in pairs {
            let [one, other] = pair else { break };
            write(word(leaf.distance(one.get())?, leaf.distance(other.get())?));
        }
        if let [last] = last {
            write(word(leaf.distance(last.get())?, 0));
        }
        Some(Open { leaf, first: leaf.distance(first.get())?, sum })
    }

    /// # Safety
    /// The leaf is free and the caller's.
    unsafe fn close(self, next: Distance) {
        let word = word(next, self.first);
        // SAFETY: as the caller vouches; every block has room for these.
        unsafe {
            self.leaf.at::<u64>(WORDS_AT).write(word);
            self.leaf.at::<u64>(stamp::AT).write(stamp::with(self.sum.seal(word)));
        }
    }
}

/// Links free blocks into a parcel: the first of them, as many as are near enough to each other. Its head,
/// and how many they are, one at least.
///
/// # Safety
/// The blocks are free, of `class`, and the caller's; there is one at least.
pub unsafe fn pack(secret: u64, class: SizeClass, blocks: &[Slot]) -> (*mut u8, usize) {
    let per_leaf = per_leaf(class);
    // Most of them were last written on another processor.
    let leaves = blocks.iter().skip(per_leaf - 1).step_by(per_leaf.max(1)).take(FETCHED);
    leaves.for_each(|leaf| prefetch::to_write(leaf.get()));
    let (mut head, mut open, mut rest) = (Leaf::NONE, None::<Open>, blocks);
    while !rest.is_empty() {
        let most = per_leaf.min(rest.len());
        // SAFETY: as the caller vouches.
        let open_of = |count| unsafe { Open::new(secret, part_or_end(rest, 0..count)) };
        // Too far apart: each for itself.
        let (leaf, here) = match open_of(most) {
            Some(leaf) => (leaf, most),
            None => match open_of(1) {
                Some(leaf) => (leaf, 1),
                None => break,
            },
        };
        if let Some(before) = open.take() {
            let Some(next) = before.leaf.distance(leaf.leaf.0) else {
                open = Some(before);
                break;
            };
            // SAFETY: as the caller vouches.
            unsafe { before.close(next) };
        } else {
            head = leaf.leaf;
        }
        (open, rest) = (Some(leaf), split_or_end(rest, here).1);
    }
    if let Some(last) = open {
        // SAFETY: as the caller vouches.
        unsafe { last.close(0) };
    }
    (head.0, blocks.len() - rest.len())
}

/// The blocks of a parcel. Each leaf is read before it is handed over.
pub struct Bundles {
    secret: u64,
    per_leaf: usize,
    leaf: Leaf,
    /// What the leaf says, as it was when its seal was looked at: another thread may be writing there.
    words: [u64; WORDS],
    /// Blocks that the leaf stands for, and how many of them were handed out.
    here: usize,
    gone: usize,
    /// Blocks behind those.
    left: usize,
}

impl Bundles {
    /// None where the first leaf is not what it was.
    ///
    /// # Safety
    /// A block of `class` begins at `head`. If a parcel of `count` blocks of it does, it is the caller's.
    pub unsafe fn open(secret: u64, class: SizeClass, head: *mut u8, count: usize) -> Option<Bundles> {
        let (leaf, per_leaf) = (Leaf(head), per_leaf(class));
        let mut bundles =
            Bundles { secret, per_leaf, leaf, words: [0; WORDS], here: 0, gone: 0, left: count };
        // SAFETY: as the caller vouches.
        unsafe { bundles.read() }.then_some(bundles)
    }

    /// Puts the next blocks into places, as long as there are both. How many, and the leaf where it ends
    /// before its time.
    pub fn unpack(&mut self, places: &[Slot]) -> (usize, Option<*mut u8>) {
        let mut rest = places;
        while self.gone < self.here {
            let these;
            (these, rest) = split_or_end(rest, rest.len().min(self.here - 1 - self.gone));
            let others = distances(&self.words).iter().skip(1 + self.gone);
            these.iter().zip(others).for_each(|(place, &other)| place.set(self.leaf.block(other)));
            self.gone += these.len();
            // The leaf goes last.
            let Some((place, behind)) = rest.split_first() else { break };
            place.set(self.leaf.0);
            (self.gone, rest) = (self.here, behind);
            if self.left > 0 {
                self.leaf = Leaf(self.leaf.block(self.next()));
                // SAFETY: the leaf before named it, and its seal was whole.
                if !unsafe { self.read() } {
                    return (places.len() - rest.len(), Some(self.leaf.0));
                }
            }
        }
        (places.len() - rest.len(), None)
    }

    fn next(&self) -> Distance {
        let [next, ..] = distances(&self.words);
        *next
    }

    /// Reads the leaf. False where it is not what it was: then there is nothing in it, and nothing behind it.
    ///
    /// # Safety
    /// A block of the class begins there.
    unsafe fn read(&mut self) -> bool {
        let most = self.per_leaf.min(self.left);
        // SAFETY: as the caller vouches.
        let whole = unsafe { self.read_as(most) || self.read_as(1) };
        if whole {
            self.left -= self.here;
            prefetch::to_read(self.leaf.block(self.next()));
        } else {
            (self.here, self.left) = (0, 0);
        }
        whole
    }

    /// Reads the leaf as one that stands for `here` blocks. Whether it is.
    ///
    /// # Safety
    /// A block of the class begins there, of which one leaf can stand for so many.
    unsafe fn read_as(&mut self, here: usize) -> bool {
        let mut sum = Sum::new(self.secret, self.leaf, here as u64);
        let Some((first, others)) = self.words.split_first_mut() else { return false };
        let mut place = self.leaf.at::<u64>(WORDS_AT);
        // SAFETY: inside the block.
        *first = unsafe { place.read() };
        for word in others.iter_mut().take((here - 1) / 2) {
            place = place.wrapping_add(1);
            // SAFETY: inside the block, which so many words have room in (caller).
            *word = unsafe { place.read() };
            sum.add(*word);
        }
        (self.here, self.gone) = (here, 0);
        // SAFETY: inside the block.
        let sealed = unsafe { self.leaf.at::<u64>(stamp::AT).read() };
        let ends = halves(*first)[0] == 0;
        sealed == stamp::with(sum.seal(*first)) && ends == (self.left == here)
    }
}
