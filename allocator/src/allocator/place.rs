//! What begins at a pointer that a caller gave: where a wrong one is told from a block.
//!
//! The fast paths of free do not look so closely. What resizes or measures a block does: a pointer into one,
//! behind one, or at one that was never handed out is none.
#![allow(unsafe_code)]

use super::Allocator;
use crate::base::config::{GRANULE, GRANULE_SHIFT};
use crate::base::size_class;
use crate::base::units::{GranuleIdx, Granules, SizeClass};
use crate::medium::{MediumClass, State};
use crate::os::Os;
use crate::slab::handed_out::HandedOut;
use crate::slab::index_of;

#[derive(Clone, Copy)]
pub enum Place {
    /// A block of a slab.
    Small(SizeClass),
    /// A block of a chunk.
    Medium(MediumClass),
    /// A span: its first granule, and how long it is.
    Span(GranuleIdx, Granules),
    /// In the arena, and no block begins here.
    Astray,
    /// Not in the arena: a large block, or nobody's.
    Outside,
}

impl<O: Os> Allocator<O> {
    #[inline]
    pub fn place_of(&self, block: *mut u8) -> Place {
        let Some((granule, entry)) = self.entry_of(block) else { return Place::Outside };
        // Granules lie at multiples of their size.
        let offset = block.addr() % GRANULE;
        if let Some((_, class)) = entry.as_slab() {
            // SAFETY: a granule with an entry was gained.
            let mark = || unsafe { HandedOut::of(&self.arena.started(), granule) };
            // Of a slab that is not young every block was handed out.
            let handed_out = |index| !entry.is_young() || mark().is_above(index);
            let is_block = index_of(class, offset).is_some_and(handed_out);
            return if is_block { Place::Small(class) } else { Place::Astray };
        }
        if let Some(place) = entry.in_chunk() {
            return match self.medium_at(granule, place, block) {
                Some((spot, State::Out)) => Place::Medium(spot.class),
                _ => Place::Astray,
            };
        }
        match entry.as_span() {
            Some(len) if offset == 0 => Place::Span(granule, len),
            _ => Place::Astray,
        }
    }

    /// Usable bytes of the block that begins at a pointer, whose place this is; None where none does.
    #[inline]
    pub fn usable_at(&self, place: Place, block: *mut u8) -> Option<usize> {
        match place {
            Place::Small(class) => Some(size_class::bytes(class)),
            Place::Medium(class) => Some(class.bytes()),
            Place::Span(_, len) => Some((len.0 as usize) << GRANULE_SHIFT),
            Place::Astray => None,
            Place::Outside => self.large.usable(block),
        }
    }
}
