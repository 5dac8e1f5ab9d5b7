//! Which sizes a block may have been asked for with: what `free_sized` holds the caller's promise against.
//!
//! A block is of the class, the span or the mapping that its size gets. Where it came otherwise the process
//! notes what it did, once, and from then on believes as much of every block: so nothing is kept for each,
//! and a program that does none of it has every size of another class seen.

use super::Allocator;
use super::place::Place;
use crate::base::config::GRANULE;
use crate::base::size_class::{self, CLASS_MAX, STEP_MAX};
use crate::base::units::{SizeClass, round_up};
use crate::os::Os;
use core::sync::atomic::{AtomicU8, Ordering};

/// How a block came to be longer than what its size gets.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Unlike {
    /// It was made smaller, and at least half of it stays used.
    Halved = 1,
    /// It is of a class that is aligned to more than 16 bytes.
    Aligned = 2,
    /// It is a mapping that was at hand, or one of whole huge pages.
    Longer = 4,
    /// It was made smaller, and there was no memory for a copy; or a mapping that the kernel would not cut.
    Refused = 8,
}

/// What of `Unlike` has happened so far. Relaxed: it was noted before the block was handed out, so whatever
/// made the program hand the block over brought the note along.
pub struct Sizes(AtomicU8);

impl Sizes {
    pub const fn new() -> Self {
        Sizes(AtomicU8::new(0))
    }

    pub fn note(&self, what: Unlike) {
        if !self.has(what) {
            self.0.fetch_or(what as u8, Ordering::Relaxed);
        }
    }

    fn has(&self, what: Unlike) -> bool {
        self.0.load(Ordering::Relaxed) & what as u8 != 0
    }

    /// Whether a block of a class may have this size, at most the class's. Who tells no alignment may have
    /// asked for one.
    fn excuse_class(&self, class: SizeClass, size: usize, align: usize) -> bool {
        self.has(Unlike::Halved) && size * 2 >= size_class::bytes(class)
            || self.has(Unlike::Aligned) && align <= 16 && is_for_alignment(class, size)
    }
}

/// The longest mapping for a block of so many bytes of pages: half as much again for whole huge pages, and an
/// end that is not worth cutting off.
fn most(pages: usize) -> usize {
    pages.saturating_mul(2).saturating_add(64 << 10)
}

/// Whether some alignment gets this class for the size.
fn is_for_alignment(class: SizeClass, size: usize) -> bool {
    let bits = size_class::bytes(class).trailing_zeros();
    (5..=bits).any(|bit| size_class::of_aligned(size, 1 << bit) == Some(class))
}

impl<O: Os> Allocator<O> {
    /// Whether the block that begins at a pointer may have been asked for with this size and alignment. None
    /// where no block begins there.
    pub fn may_have_size(&self, block: *mut u8, size: usize, align: usize) -> Option<bool> {
        let place = self.place_of(block);
        let usable = self.usable_at(place, block)?;
        if size > usable {
            return Some(false);
        }
        if self.sizes.has(Unlike::Refused) {
            return Some(true);
        }
        let class = size_class::of_aligned(size.max(1), align);
        let beyond_classes = class.is_none() || self.sizes.has(Unlike::Aligned) && align <= 16;
        Some(match place {
            Place::Small(own) => class == Some(own) || self.sizes.excuse_class(own, size, align),
            Place::Span(..) => beyond_classes && usable - size.max(1) < GRANULE,
            // The smallest threshold for mappings is above the smallest classes.
            _ => (beyond_classes || size > STEP_MAX) && self.may_be_mapped(size, usable),
        })
    }

    /// Whether a mapping of `len` bytes may be for so many.
    fn may_be_mapped(&self, size: usize, len: usize) -> bool {
        let pages = round_up(size.max(1), self.arena.os.page());
        pages.is_some_and(|pages| pages == len || self.sizes.has(Unlike::Longer) && len <= most(pages))
    }

    /// Notes that a mapping of `len` bytes is for `size`.
    #[inline]
    pub fn note_mapping(&self, size: usize, len: usize) {
        if len - len.min(size.max(1)) >= self.arena.os.page() {
            self.note_longer_mapping(size, len);
        }
    }

    #[cold]
    #[inline(never)]
    fn note_longer_mapping(&self, size: usize, len: usize) {
        let is_most = round_up(size.max(1), self.arena.os.page()).is_some_and(|pages| len <= most(pages));
        self.sizes.note(if is_most { Unlike::Longer } else { Unlike::Refused });
    }

    /// Notes that a request was for more than the alignment that each block has.
    pub fn note_alignment(&self, size: usize) {
        if size <= CLASS_MAX {
            self.sizes.note(Unlike::Aligned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_for_an_alignment_where_one_gets_it() {
        for shift in 5..=15 {
            for size in (0..=CLASS_MAX).step_by(if cfg!(miri) { 997 } else { 13 }) {
                if let Some(class) = size_class::of_aligned(size, 1 << shift) {
                    assert!(is_for_alignment(class, size), "{size} at 1 << {shift}");
                }
            }
        }
        // 1280 bytes are aligned to 256: the next class of a shorter block that is.
        assert!(!is_for_alignment(size_class::of(1280), 1000));
    }
}
