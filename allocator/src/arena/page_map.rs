//! The page map: one word per granule that says whose it is. It is what makes a block header-less.
//!
//! ```text
//!   bit 31  30 …… 16   15 …… 0
//!     0     heap id    class × 16    a slab of that heap
//!     1     heap id    class × 16    the same, of a homing class: not for every magazine
//!     1     granules        0        the first granule of a span; 0 granules: a later one
//!     all zeros                      free, or outside what the arena has
//! ```
//!
//! The low half of every entry is where the class's bin stands in a heap (a bin is 16 bytes): the fast
//! path of free pays nothing for the way there.
//!
//! Edge MAP: none of its own. An entry is written before the first block of its granule is handed out
//! and stays until the last came back, so who holds a block reads the entry behind whatever made the
//! program hand it the block. All accesses are Relaxed for that reason.

use crate::config::{HEAP_LIMIT, HOMING};
use crate::size_class::CLASSES;
use crate::units::{Granules, HeapId, SizeClass};
use core::sync::atomic::{AtomicU32, Ordering};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Entry(pub u32);

/// Kept from the fast path of free.
const SLOW: u32 = 1 << 31;

/// The unit of an entry's low half: what one class takes in a heap's row of bins.
pub const BIN: usize = 16;

const _: () = assert!(CLASSES * BIN < 1 << 16);
const _: () = assert!(HEAP_LIMIT < 1 << 15, "an entry holds a heap id in 15 bits");

impl Entry {
    pub const FREE: Entry = Entry(0);
    /// A granule of a span that is not its first.
    pub const SPAN_BODY: Entry = Entry(SLOW);
    /// The longest span that an entry can tell: 2 GiB less a granule.
    pub const SPAN_MAX: Granules = Granules((1 << 15) - 1);

    #[inline(always)]
    pub const fn slab(heap: HeapId, class: SizeClass) -> Entry {
        let slow = if class.0 >= HOMING.0 { SLOW } else { 0 };
        Entry(slow | (heap.0 << 16) | (class.0 as u32 * BIN as u32))
    }

    pub const fn span(len: Granules) -> Entry {
        debug_assert!(len.0 <= Self::SPAN_MAX.0);
        Entry(SLOW | (len.0 << 16))
    }

    /// Whether it is a slab's whose blocks may go into any magazine: one comparison of signed words.
    #[inline(always)]
    pub fn is_quick(self) -> bool {
        self.0 as i32 > u16::MAX as i32
    }

    #[inline(always)]
    pub fn as_slab(self) -> Option<(HeapId, SizeClass)> {
        let is_slab = self.is_quick() || self.class() >= HOMING;
        is_slab.then_some((HeapId((self.0 & !SLOW) >> 16), self.class()))
    }

    /// The class of a slab's entry.
    #[inline(always)]
    pub fn class(self) -> SizeClass {
        SizeClass((self.bin_offset() / BIN) as u8)
    }

    /// Bytes from a heap's first bin to the one of this entry's class; the first for what is no slab.
    #[inline(always)]
    pub fn bin_offset(self) -> usize {
        self.0 as u16 as usize
    }

    /// The length of the span that starts here.
    pub fn as_span(self) -> Option<Granules> {
        let len = Granules((self.0 & !SLOW) >> 16);
        (self.0 & SLOW != 0 && self.bin_offset() == 0 && len.0 > 0).then_some(len)
    }
}

/// A copy of where the map is; the words themselves are shared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PageMap {
    words: *const AtomicU32,
}

// SAFETY: the words are atomics, and stay where they are.
unsafe impl Send for PageMap {}
// SAFETY: as above.
unsafe impl Sync for PageMap {}

impl PageMap {
    /// A map without a word.
    pub const NONE: PageMap = PageMap { words: core::ptr::null() };

    pub const fn at(words: *const AtomicU32) -> Self {
        PageMap { words }
    }

    /// Where the words are.
    pub fn words(self) -> *const AtomicU32 {
        self.words
    }

    /// # Safety
    /// `granule` is one that the map was made for.
    #[inline(always)]
    pub unsafe fn get(self, granule: usize) -> Entry {
        // SAFETY: the map has a readable word for every granule it was made for (caller). Edge MAP.
        Entry(unsafe { &*self.words.add(granule) }.load(Ordering::Relaxed))
    }

    /// # Safety
    /// `granule` is one that the map was made for, and the caller holds it and the arena's lock.
    pub unsafe fn set(self, granule: usize, entry: Entry) {
        // SAFETY: as the caller vouches. Edge MAP.
        unsafe { &*self.words.add(granule) }.store(entry.0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_entry_is_told_from_the_others() {
        for class in [SizeClass(1), SizeClass(HOMING.0 - 1), HOMING, SizeClass(84)] {
            let slab = Entry::slab(HeapId(7), class);
            assert_eq!((slab.as_slab(), slab.as_span()), (Some((HeapId(7), class)), None));
            assert_eq!(slab.is_quick(), class < HOMING);
        }
        let span = Entry::span(Granules(2));
        assert_eq!((span.as_slab(), span.as_span()), (None, Some(Granules(2))));
        assert!(!span.is_quick());
        for entry in [Entry::FREE, Entry::SPAN_BODY] {
            assert_eq!((entry.as_slab(), entry.as_span()), (None, None));
        }
    }
}
