//! The labels of a chunk: its class, and the state of each block, beside the records of its granules.
//!
//! ```text
//!   granules   │   0    │   1    │   2    │   3    │   4    │     of a chunk of class 40 KiB
//!   blocks     │ 0  1 │ │  2  3  │   4  │ │ 5  6   │  7     │     where each begins
//!   labels     class, 0 1  class, 2 3  class, 4  class, 6 5  class, 7
//! ```
//!
//! Each granule has a label: no other is read or written for the blocks that begin there, so threads that
//! have blocks of one chunk seldom share a line of the cache for it.
//!
//! Whoever holds a block reads its label without the lock. It was written before the block was handed out, so
//! the reader has it by whatever handed it over (edge MAP). The state of a block is changed by whoever has
//! it: the thread that frees it or has it at hand, or under the lock.
#![allow(unsafe_code)]

use super::class::{BLOCKS_OF_GRANULE, MediumClass};
use crate::arena::{Geometry, RECORD, RECORDS_APART};
use crate::base::units::GranuleIdx;
use core::sync::atomic::{AtomicU8, Ordering};

/// Where a block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// In its chunk.
    Free,
    /// With the program.
    Out,
    /// Free, and a thread has it.
    AtHand,
}

/// Of a granule.
#[repr(C)]
pub struct Label {
    class: AtomicU8,
    /// By the low bits of their numbers: those that begin on one granule follow each other.
    states: [AtomicU8; BLOCKS_OF_GRANULE],
}

const _: () = assert!(RECORD + size_of::<Label>() <= RECORDS_APART);

/// The label of a granule.
///
/// # Safety
/// The granule is a chunk's that is not given back while the reference lives, or of a run that the caller
/// makes one of.
#[inline]
pub unsafe fn label_of<'a>(geometry: &Geometry, granule: GranuleIdx) -> &'a Label {
    // SAFETY: as the caller vouches. It stands behind the granule's record, and all access is by atomics.
    unsafe { &*geometry.record(granule).add(RECORD).cast() }
}

/// The label that has the state of a block of the chunk at `head`.
///
/// # Safety
/// As for `label_of`.
#[inline]
pub unsafe fn label_of_block<'a>(
    geometry: &Geometry,
    head: GranuleIdx,
    class: MediumClass,
    at: u32,
) -> &'a Label {
    // SAFETY: as the caller vouches: the block begins in the chunk.
    unsafe { label_of(geometry, GranuleIdx(head.0 + class.granule_of(at))) }
}

impl Label {
    /// Makes it that of a chunk whose blocks are all free.
    pub fn begin(&self, class: MediumClass) {
        // Relaxed: see the module's head.
        self.class.store(class.number() as u8, Ordering::Relaxed);
        self.states.iter().for_each(|state| state.store(State::Free as u8, Ordering::Relaxed));
    }

    #[inline]
    pub fn class(&self) -> MediumClass {
        // Relaxed: as above.
        MediumClass::told(self.class.load(Ordering::Relaxed))
    }

    #[inline]
    fn place(&self, at: u32) -> Option<&AtomicU8> {
        self.states.get(at as usize % BLOCKS_OF_GRANULE)
    }

    /// The state of a block that begins there, by its number in the chunk.
    #[inline]
    pub fn state(&self, at: u32) -> State {
        // Relaxed: as above.
        match self.place(at).map_or(0, |state| state.load(Ordering::Relaxed)) {
            0 => State::Free,
            1 => State::Out,
            _ => State::AtHand,
        }
    }

    #[inline]
    pub fn say(&self, at: u32, state: State) {
        if let Some(place) = self.place(at) {
            // Relaxed: as above.
            place.store(state as u8, Ordering::Relaxed);
        }
    }
}
