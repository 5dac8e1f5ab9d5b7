//! What a segment knows of one of its granules: a slab with its free blocks, or a part of a span.
//!
//! A fork may copy a record between any two stores. `kind` and `carved` are single stores with what they
//! stand for before them, and so are the words of the bits: the rest follows from these (`recount`).
#![forbid(unsafe_code)]

use crate::base::size_class;
use crate::base::units::{Granules, SizeClass};
use crate::slab::bitmap::{self, Bitmap};
use crate::slab::{capacity, index_of};
use crate::sync::stores::in_order;
use core::cell::Cell;

/// What a granule is. Zero is free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    Free = 0,
    Slab = 1,
    /// The first granule of a span.
    Span = 2,
    /// Another one.
    Body = 3,
}

/// Why a block is not taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    NoBlock,
    Freed,
    Layout,
}

const WORDS: usize = 64;

/// Zeros are a free granule's.
#[repr(C)]
pub struct Record {
    kind: Kind,
    pub class: SizeClass,
    /// Blocks that were ever handed out, from the first on.
    carved: u16,
    /// Blocks that are out.
    used: u16,
    /// What is not carved yet reads as zero.
    zeroed: Fresh,
    /// The neighbours in the list of slabs of the class with a free block: granule numbers, or 0.
    pub next: u32,
    pub prev: u32,
    /// Of a span: how long it is, and how many bytes of it count.
    len: u32,
    bytes: usize,
    summary: u64,
    bits: [u64; WORDS],
}

/// Whether memory was used since it was mapped or purged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Fresh {
    No = 0,
    Yes = 1,
}

/// A block of a slab that was taken.
pub struct Taken {
    pub offset: usize,
    /// It reads as zero.
    pub fresh: Fresh,
}

impl Record {
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Makes a free granule a slab.
    pub fn begin_slab(&mut self, class: SizeClass, fresh: Fresh) {
        (self.class, self.carved, self.used, self.zeroed) = (class, 0, 0, fresh);
        self.summary = 0;
        self.bits.iter_mut().take(bitmap::words(class).0).for_each(|word| *word = 0);
        in_order();
        self.kind = Kind::Slab;
    }

    /// Makes a free granule the first one of a span.
    pub fn begin_span(&mut self, len: Granules, bytes: usize) {
        self.set_span(len, bytes);
        in_order();
        self.kind = Kind::Span;
    }

    pub fn begin_body(&mut self) {
        self.kind = Kind::Body;
    }

    pub fn end(&mut self) {
        self.kind = Kind::Free;
    }

    pub fn set_span(&mut self, len: Granules, bytes: usize) {
        (self.len, self.bytes) = (len.0, bytes);
    }

    /// Granules of a span.
    pub fn len(&self) -> Granules {
        Granules(self.len)
    }

    /// Bytes of a span.
    pub fn span_bytes(&self) -> usize {
        self.bytes
    }

    /// Blocks that are out.
    pub fn used(&self) -> usize {
        self.used as usize
    }

    pub fn is_full(&self) -> bool {
        self.used == capacity(self.class)
    }

    /// Takes the lowest free block of a slab that is not full.
    pub fn take(&mut self) -> Taken {
        let size = size_class::bytes(self.class);
        self.used += 1;
        if self.summary == 0 {
            self.carved += 1;
            return Taken { offset: (self.carved as usize - 1) * size, fresh: self.zeroed };
        }
        let lowest = Cell::new(0);
        self.bitmap().take(core::iter::once(()), |_, at| lowest.set(at));
        Taken { offset: lowest.get() * size, fresh: Fresh::No }
    }

    /// Whether a block that is out begins at an offset; its index.
    pub fn find(&self, class: SizeClass, offset: usize) -> Result<usize, Wrong> {
        if self.class != class {
            return Err(Wrong::Layout);
        }
        let at = index_of(class, offset).filter(|&at| at < self.carved as usize).ok_or(Wrong::NoBlock)?;
        if bitmap::contains(&self.bits, at) { Err(Wrong::Freed) } else { Ok(at) }
    }

    /// Puts back the block of an index that `find` gave.
    pub fn put(&mut self, at: usize) {
        self.bitmap().insert(at);
        self.used -= 1;
    }

    /// In a fork's child that may have copied a change half done: what follows from the words and `carved`.
    pub fn recount(&mut self) {
        let words = bitmap::words(self.class).0;
        let (mut free, mut summary) = (0, 0);
        for (at, word) in self.bits.iter().take(words).enumerate() {
            free += word.count_ones() as u16;
            summary |= u64::from(*word != 0) << at;
        }
        self.summary = summary;
        self.used = self.carved - free.min(self.carved);
    }

    fn bitmap(&mut self) -> Bitmap<'_> {
        Bitmap { summary: &mut self.summary, words: &mut self.bits }
    }
}
