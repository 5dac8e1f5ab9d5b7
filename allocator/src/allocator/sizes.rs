//! What the process did that makes a block longer than its size asks for.
//!
//! A block is of the class, the span or the mapping that its size gets. Where it came otherwise the process
//! notes what it did, once, and from then on believes as much of every block: so nothing is kept for each,
//! and a program that does none of it has every size of another class seen.

use crate::base::size_class;
use crate::base::units::SizeClass;
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

    pub fn has(&self, what: Unlike) -> bool {
        self.0.load(Ordering::Relaxed) & what as u8 != 0
    }

    /// Whether a block of a class may have this size, at most the class's. Who tells no alignment may have
    /// asked for one.
    pub fn excuse_class(&self, class: SizeClass, size: usize, align: usize) -> bool {
        self.has(Unlike::Halved) && size * 2 >= size_class::bytes(class)
            || self.has(Unlike::Aligned) && align <= 16 && is_for_alignment(class, size)
    }
}

/// Whether some alignment gets this class for the size.
fn is_for_alignment(class: SizeClass, size: usize) -> bool {
    let bits = size_class::bytes(class).trailing_zeros();
    (5..=bits).any(|bit| size_class::of_aligned(size, 1 << bit) == Some(class))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::size_class::CLASS_MAX;

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
