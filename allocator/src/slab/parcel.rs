//! A parcel: blocks of one class on their way to the heap they belong to, linked through themselves.
//!
//! ```text
//!   leaf  ──next──►  leaf  ──next──►  leaf              each leaf is a block, and names others by their
//!    │ label          │                │                distance: as many as its first 128 bytes have
//!    └ distances      └ distances      └ distances      room for
//! ```
//!
//! Who unpacks it reads one leaf in 28 blocks (of 128 bytes or more; one in twelve of 64 bytes, each block of
//! 16): each read fetches a cache line that another core wrote.
//!
//! The blocks are free, and a program that is wrong may write to them. So nothing of it is followed before it
//! is known to be what was written: each leaf has a seal, and what is read of a leaf before its seal is must
//! be the start of a block of that heap and class. What a program wrote passes for a leaf once in 2^32 times.
#![allow(unsafe_code)]

mod bundle;
mod chain;
mod leaf;

use super::site::Site;
use super::slot::Slot;
use super::stamp;
use crate::base::config::MAGAZINE_MAX;
use crate::base::size_class;
use crate::base::units::SizeClass;
use crate::os::Os;
use crate::sync::inbox::Packed;
use bundle::Bundles;
use chain::Chain;
use core::ffi::CStr;

/// What is wrong where a parcel is not what it was.
pub const WRITTEN: &CStr = c"malloc(): a freed block was written to";

/// A parcel as it is sent and kept.
pub struct Closed {
    pub class: SizeClass,
    pub head: *mut u8,
    pub count: usize,
}

/// A single block needs no words but its label's.
fn is_chain(class: SizeClass, count: usize) -> bool {
    count == 1 || size_class::bytes(class) == 16
}

const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
const GATHER: u64 = inverse(SPREAD);

/// The number whose product with an odd one is 1: each step doubles the bits that are right.
const fn inverse(odd: u64) -> u64 {
    let (mut inverse, mut step) = (odd, 0);
    while step < 5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

impl Closed {
    /// Links free blocks of `class`, of the heap at `site`, into a parcel: the first of them, as many as are
    /// near enough to each other.
    ///
    /// # Safety
    /// The blocks are free, of that class, and the caller's; there is one at least.
    pub unsafe fn pack<O: Os>(site: &Site<O>, class: SizeClass, blocks: &[Slot]) -> Closed {
        // SAFETY: as the caller vouches.
        let (head, count) = unsafe {
            match is_chain(class, blocks.len()) {
                true => chain::pack(site.secret(), blocks),
                false => bundle::pack(site.secret(), class, blocks),
            }
        };
        Closed { class, head, count }
    }

    /// Labels the parcel with its count and the link to the one behind it.
    ///
    /// # Safety
    /// It is the caller's.
    pub unsafe fn label<O: Os>(&self, site: &Site<O>, behind: u64) {
        let label = Packed::new(behind, self.count as u64);
        // Every bit of the word comes to depend on every bit of the label, so that a changed one says
        // something absurd.
        let sealed = (label.0 ^ site.secret() ^ self.head.addr() as u64).wrapping_mul(SPREAD);
        let sealed = sealed.swap_bytes().wrapping_mul(SPREAD);
        // SAFETY: as the caller vouches.
        unsafe { self.head.cast::<u64>().write(sealed) };
    }

    /// The labelled parcel at an address, and the link to the one behind it. None where there is none.
    ///
    /// # Safety
    /// If there is one it is the caller's.
    pub unsafe fn labelled<O: Os>(site: &Site<O>, head: *mut u8) -> Option<(Closed, u64)> {
        let class = site.class_at(head)?;
        // SAFETY: a block begins there.
        let (sealed, stamped) = unsafe { (head.cast::<u64>().read(), stamp::is_on(head)) };
        let label = sealed.wrapping_mul(GATHER).swap_bytes().wrapping_mul(GATHER);
        let label = Packed(label ^ site.secret() ^ head.addr() as u64);
        let count = label.count() as usize;
        let whole = stamped && (1..=MAGAZINE_MAX as usize).contains(&count);
        whole.then_some((Closed { class, head, count }, label.link()))
    }

    /// # Safety
    /// It is the caller's, and so are its blocks from now on.
    pub unsafe fn open<O: Os>(self, site: &Site<O>) -> Parcel {
        let Closed { class, head, count } = self;
        // SAFETY: as the caller vouches.
        let leaves = unsafe {
            match is_chain(class, count) {
                true => Chain::open(site, class, head, count).map(Leaves::Chain),
                false => Bundles::open(site.secret(), class, head, count).map(Leaves::Bundles),
            }
        };
        Parcel { torn: leaves.is_none().then_some(head), leaves }
    }
}

enum Leaves {
    Bundles(Bundles),
    Chain(Chain),
}

/// The blocks of a parcel, which come in the order they were packed in.
pub struct Parcel {
    leaves: Option<Leaves>,
    /// A leaf that was written to: what it and those behind it stood for is lost.
    torn: Option<*mut u8>,
}

impl Parcel {
    /// Puts the next blocks into places, as long as there are both. How many.
    pub fn unpack(&mut self, places: &[Slot]) -> usize {
        let (count, torn) = match &mut self.leaves {
            Some(Leaves::Bundles(bundles)) => bundles.unpack(places),
            Some(Leaves::Chain(chain)) => chain.unpack(places),
            None => (0, None),
        };
        self.torn = self.torn.or(torn);
        count
    }

    pub fn torn(&self) -> Option<*mut u8> {
        self.torn
    }
}

#[cfg(test)]
mod tests;
