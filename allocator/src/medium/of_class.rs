//! The chunks of a class that have a free block, by the *side* of the threads that look into them first.
//!
//! ```text
//!   lists   dirty of side 0 │ of 1 │ of 2 │ of 3 │ clean     a thread of side 2 looks into 2, 3, 0, 1, clean
//! ```
//!
//! A thread's side is its heap's number. So two threads seldom have blocks of one chunk, and seldom write to
//! the same lines of the cache: those of labels, and of the blocks. But no block becomes dirty that was clean
//! where another side has a dirty one: sides have no memory of their own.
#![forbid(unsafe_code)]

use super::figures::OfMedium;
use crate::base::checked::Checked;
use crate::base::units::{GranuleIdx, HeapId};

/// So many threads that follow each other are apart. A search may go through the lists of all.
const SIDES: usize = 4;

/// Some of the threads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Side(u8);

impl Side {
    /// Of threads without a heap, and of chunks in a fork's child.
    pub const NONE: Side = Side(0);

    #[inline]
    pub fn of(heap: HeapId) -> Side {
        Side((heap.0 as usize % SIDES) as u8)
    }
}

/// A list of chunks of one class that have a free block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct List(u8);

impl List {
    /// All that is free in its chunks is clean.
    pub const CLEAN: List = List(SIDES as u8);

    /// The dirty ones of a side.
    #[inline]
    pub fn of(side: Side) -> List {
        List(side.0)
    }

    /// All lists that are not clean.
    pub fn dirty() -> impl Iterator<Item = List> {
        (0..SIDES as u8).map(List)
    }

    /// In the order in which a thread of a side looks for a block.
    #[inline]
    pub fn in_turn(side: Side) -> impl Iterator<Item = List> {
        let dirty = (0..SIDES as u8).map(move |turn| List((side.0 + turn) % SIDES as u8));
        dirty.chain(core::iter::once(List::CLEAN))
    }
}

/// What there is of one class.
#[derive(Clone, Copy)]
pub struct OfClass {
    /// The first chunk of each list: granule index plus one, or 0.
    lists: Checked<u32, { SIDES + 1 }>,
    /// The chunk that is kept though all of it is free: granule index plus one, or 0. The lowest, so that the
    /// top of the arena can go.
    pub kept: u32,
    pub figures: OfMedium,
}

impl OfClass {
    pub const NONE: OfClass = OfClass { lists: Checked([0; SIDES + 1]), kept: 0, figures: OfMedium::NONE };

    #[inline]
    pub fn first(&self, list: List) -> Option<GranuleIdx> {
        self.lists[list.0 as usize].checked_sub(1).map(GranuleIdx)
    }

    /// Where a list begins.
    #[inline]
    pub fn list(&mut self, list: List) -> &mut u32 {
        &mut self.lists[list.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heaps_that_follow_each_other_are_apart() {
        let sides = [5, 6, 7, 8, 9].map(|heap| Side::of(HeapId(heap)));
        assert!((0..SIDES).all(|at| (0..at).all(|before| sides[before] != sides[at])), "{sides:?}");
        assert_eq!(sides[0], sides[SIDES]);
    }

    #[test]
    fn a_search_begins_on_its_own_side_and_goes_through_all_lists() {
        for heap in 0..SIDES as u32 {
            let side = Side::of(HeapId(heap));
            let lists: Vec<_> = List::in_turn(side).collect();
            assert_eq!((lists.first(), lists.last()), (Some(&List::of(side)), Some(&List::CLEAN)));
            assert!(lists.len() == SIDES + 1 && List::dirty().all(|list| lists.contains(&list)));
        }
    }
}
