//! The labels of a chunk: its class, and the state of each block, beside its record.
//!
//! Whoever holds a block reads them without the lock. They were written before the block was handed out, so
//! the reader has them by whatever handed it over (edge MAP). The state of a block is changed by whoever has
//! it: the thread that frees it or has it at hand, or under the lock.
#![allow(unsafe_code)]

use super::class::{BLOCKS_MAX, MediumClass};
use crate::arena::{Geometry, RECORDS_APART};
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

#[repr(C)]
pub struct Labels {
    class: AtomicU8,
    states: [AtomicU8; BLOCKS_MAX],
}

const _: () = assert!(size_of::<Labels>() <= RECORDS_APART);

/// # Safety
/// The granule is the head of a chunk that is not given back while the reference lives, or of a run that the
/// caller makes one of.
#[inline]
pub unsafe fn labels_of<'a>(geometry: &Geometry, head: GranuleIdx) -> &'a Labels {
    // SAFETY: as the caller vouches. They stand where the record of the chunk's second granule would be, and
    // all access is by atomics.
    unsafe { &*geometry.record(head).add(RECORDS_APART).cast() }
}

impl Labels {
    /// Makes them those of a chunk whose blocks are all free.
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
    pub fn state(&self, at: u32) -> State {
        // Relaxed: as above.
        match self.states.get(at as usize).map_or(0, |state| state.load(Ordering::Relaxed)) {
            0 => State::Free,
            1 => State::Out,
            _ => State::AtHand,
        }
    }

    #[inline]
    pub fn say(&self, at: u32, state: State) {
        if let Some(place) = self.states.get(at as usize) {
            // Relaxed: as above.
            place.store(state as u8, Ordering::Relaxed);
        }
    }
}
