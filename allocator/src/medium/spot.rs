//! A block of a chunk: which, and what is said of it.
#![allow(unsafe_code)]

use super::class::MediumClass;
use super::labels::{Label, State, label_of};
use crate::arena::Geometry;
use crate::base::allocated::{Allocated, UNKNOWN};
use crate::base::config::GRANULE;
use crate::base::units::GranuleIdx;
use core::ptr::{null, null_mut};

/// A block of a chunk: which.
#[derive(Clone, Copy)]
pub struct Spot {
    /// Of the granule on which it begins.
    pub label: *const Label,
    pub head: GranuleIdx,
    pub class: MediumClass,
    pub at: u8,
}

/// The block that begins at an address in the granule at `place` of its chunk, and its state. None where none
/// begins.
///
/// # Safety
/// The granule is a chunk's by its entry, and the chunk is not given back meanwhile: some block of it is the
/// caller's.
#[inline]
pub unsafe fn look_up(
    geometry: &Geometry,
    granule: GranuleIdx,
    place: u32,
    addr: usize,
) -> Option<(Spot, State)> {
    let head = GranuleIdx(granule.0.wrapping_sub(place));
    // SAFETY: as the caller vouches.
    let label = unsafe { label_of(geometry, granule) };
    let class = label.class();
    let at = class.index_of(place as usize * GRANULE + addr % GRANULE)?;
    Some((Spot { label, head, class, at: at as u8 }, label.state(at)))
}

impl Spot {
    /// Says that the block is in a state, by whoever has it.
    ///
    /// # Safety
    /// The block is the caller's.
    #[inline]
    pub unsafe fn say(self, state: State) {
        // SAFETY: as the caller vouches: its chunk is there.
        unsafe { &*self.label }.say(self.at as u32, state);
    }

    /// Of no block.
    pub const NONE: Spot = Spot { label: null(), head: GranuleIdx(0), class: MediumClass::told(0), at: 0 };
}

/// A free block that one thread has.
#[derive(Clone, Copy)]
pub struct Free {
    pub block: *mut u8,
    pub spot: Spot,
    /// It reads as zero, and has no memory behind it.
    pub clean: bool,
}

impl Free {
    /// The same as what a request got.
    #[inline]
    pub fn allocated(self) -> Allocated {
        Allocated { block: self.block, zeroed_from: if self.clean { 0 } else { UNKNOWN } }
    }

    pub const NONE: Free = Free { block: null_mut(), spot: Spot::NONE, clean: false };
}
