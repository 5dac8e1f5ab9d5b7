//! Which sizes a block may have been asked for with: what `free_sized` holds the caller's promise against.

use super::Allocator;
use super::place::Place;
use super::sizes::Unlike;
use crate::base::config::GRANULE;
use crate::base::size_class::{self, CLASS_MAX, STEP_MAX};
use crate::base::units::round_up;
use crate::medium::MediumClass;
use crate::os::Os;

/// The longest mapping for a block of so many bytes of pages: half as much again for whole huge pages, and an
/// end that is not worth cutting off.
fn most(pages: usize) -> usize {
    pages.saturating_mul(2).saturating_add(64 << 10)
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
            Place::Medium(own) => {
                beyond_classes && MediumClass::of(size).is_some_and(|class| class.may_be(own))
                    || self.sizes.has(Unlike::Halved) && size * 2 >= own.bytes()
            }
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
