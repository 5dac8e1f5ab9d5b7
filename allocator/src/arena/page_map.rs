//! The page map: one word per granule that says whose it is. It is what makes a block header-less.
//!
//! ```text
//!   bit 31  30 …… 16   15 …… 0
//!     0     heap id    class × 32        a slab of that heap
//!     0     heap id    class × 32 + 8    the same, young: not all of its blocks were handed out yet
//!     1     granules        0            the first granule of a span; 0 granules: a later one
//!     1     all ones, n     0            the n-th granule of a chunk, from 0 to 15
//!     all zeros                          free, or outside what the arena has
//! ```
//!
//! The low half of a slab's entry is where the class's bin stands in a heap (a bin is 32 bytes), and which of
//! its two tests a pointer must pass: the fast path of free pays nothing for the way there. That of any other
//! entry leads to class 0, which has no blocks and refuses all.
//!
//! Edge MAP: none of its own. An entry is written before the first block of its granule is handed out
//! and stays until the last came back, so who holds a block reads the entry behind whatever made the
//! program hand it the block. All accesses are Relaxed for that reason.
#![allow(unsafe_code)]

use crate::base::config::HEAP_LIMIT;
use crate::base::size_class::CLASSES;
use crate::base::units::{Granules, HeapId, SizeClass};
use crate::base::why::{Cause, Reason, Why};
use core::sync::atomic::{AtomicU32, Ordering};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Entry(pub u32);

/// An entry of a span.
const SPAN: u32 = 1 << 31;

/// What an entry's low half counts: what one class takes in a heap's row of bins.
pub const BIN: usize = 32;

/// From a bin's one test to its other.
pub const YOUNG: usize = 8;

const _: () = assert!(CLASSES * BIN < 1 << 16);
const _: () = assert!(HEAP_LIMIT < 1 << 15, "an entry holds a heap id in 15 bits");

impl Entry {
    pub const FREE: Entry = Entry(0);
    /// A granule of a span that is not its first.
    pub const SPAN_BODY: Entry = Entry(SPAN);
    /// The longest span that an entry can tell: 2 GiB less a mebibyte and a granule.
    pub const SPAN_MAX: Granules = Granules((1 << 15) - 1 - Self::CHUNK_MAX.0);
    /// The longest chunk that an entry can tell.
    pub const CHUNK_MAX: Granules = Granules(16);
    /// The first granule of a chunk.
    pub const CHUNK: Entry = Entry(SPAN | (Self::SPAN_MAX.0 + 1) << 16);

    #[inline(always)]
    pub const fn slab(heap: HeapId, class: SizeClass) -> Entry {
        Entry((heap.0 << 16) | (class.0 as u32 * BIN as u32))
    }

    /// This slab's entry while not all of its blocks were handed out.
    pub const fn young(self) -> Entry {
        Entry(self.0 | YOUNG as u32)
    }

    /// This slab's entry when all of its blocks were.
    #[inline(always)]
    pub const fn grown(self) -> Entry {
        Entry(self.0 & !(YOUNG as u32))
    }

    pub fn is_young(self) -> bool {
        self != self.grown()
    }

    pub const fn span(len: Granules) -> Entry {
        debug_assert!(len.0 <= Self::SPAN_MAX.0);
        Entry(SPAN | (len.0 << 16))
    }

    /// The entry of a later granule of a run whose first one has this one.
    pub fn of_later(self, distance: u32) -> Entry {
        match self.in_chunk() {
            Some(_) => Entry(self.0 + (distance << 16)),
            None if self == Entry::FREE => Entry::FREE,
            None => Entry::SPAN_BODY,
        }
    }

    #[inline(always)]
    pub fn as_slab(self) -> Option<(HeapId, SizeClass)> {
        (self.class() != SizeClass(0)).then_some((HeapId(self.0 >> 16), self.class()))
    }

    /// The class of a slab's entry; class 0 for what is no slab.
    #[inline(always)]
    pub fn class(self) -> SizeClass {
        SizeClass((self.bin_offset() / BIN) as u8)
    }

    /// Bytes from a heap's first bin to the one of this entry's class.
    #[inline(always)]
    pub fn bin_offset(self) -> usize {
        self.grown().0 as u16 as usize
    }

    /// As `bin_offset`, with the way to the test that the slab's blocks pass.
    #[inline(always)]
    pub fn test_offset(self) -> usize {
        self.0 as u16 as usize
    }

    /// Why the arena grows where there is no run for this.
    pub fn why(self) -> Why {
        match (self.as_slab(), self.as_span()) {
            (Some((_, class)), _) => Reason::Grow.by(Cause::Class(class)),
            (None, Some(len)) => Reason::Span.by(Cause::Span(len)),
            (None, None) => Reason::Grow.by(Cause::Process),
        }
    }

    /// The length of the span that starts here.
    pub fn as_span(self) -> Option<Granules> {
        let len = Granules((self.0 & !SPAN) >> 16);
        (self.0 & SPAN != 0 && len.0 > 0 && len.0 <= Self::SPAN_MAX.0).then_some(len)
    }

    /// The place of a granule in its chunk.
    #[inline]
    pub fn in_chunk(self) -> Option<u32> {
        self.0.checked_sub(Self::CHUNK.0).map(|above| above >> 16)
    }
}

/// A copy of where the map is; the words themselves are shared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PageMap {
    words: *const AtomicU32,
}

// SAFETY: the words are atomics, and stay where they are.
unsafe impl Send for PageMap {}
// SAFETY: the words are atomics.
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
    use crate::base::config::HOMING;

    #[test]
    fn every_kind_of_entry_is_told_from_the_others() {
        for class in [SizeClass(1), HOMING, SizeClass(84)] {
            let slab = Entry::slab(HeapId(HEAP_LIMIT), class);
            for entry in [slab, slab.young()] {
                let told = (entry.as_slab(), entry.as_span(), entry.grown());
                assert_eq!(told, (Some((HeapId(HEAP_LIMIT), class)), None, slab));
                assert_eq!(entry.bin_offset(), class.0 as usize * BIN);
            }
            assert!(slab.young().is_young() && !slab.is_young());
        }
        let span = Entry::span(Entry::SPAN_MAX);
        assert_eq!((span.as_slab(), span.as_span()), (None, Some(Entry::SPAN_MAX)));
        assert_eq!((span.in_chunk(), span.of_later(3)), (None, Entry::SPAN_BODY));
        for place in 0..Entry::CHUNK_MAX.0 {
            let chunk = Entry::CHUNK.of_later(place);
            assert_eq!((chunk.as_slab(), chunk.as_span(), chunk.in_chunk()), (None, None, Some(place)));
            assert_eq!(chunk.bin_offset(), 0, "only class 0 has no blocks");
        }
        for entry in [Entry::FREE, Entry::SPAN_BODY] {
            assert_eq!((entry.as_slab(), entry.as_span(), entry.in_chunk()), (None, None, None));
        }
        for entry in [span, Entry::FREE, Entry::SPAN_BODY] {
            assert_eq!(entry.bin_offset(), 0, "only class 0 has no blocks");
        }
    }
}
