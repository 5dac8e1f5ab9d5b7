//! The depot of a heap: parcels that came home, kept as they are, by class, for the next refill.
//!
//! Unpacking one into a magazine is cheaper than putting its blocks into bitmaps and finding them again. It
//! is bounded by bytes over all classes; beyond, blocks go back to their slabs.
#![allow(unsafe_code)]

use super::parcel::{Closed, Parcel, WRITTEN};
use super::site::Site;
use crate::base::checked::Checked;
use crate::base::config::DEPOT_BYTES;
use crate::base::size_class::{self, CLASSES};
use crate::base::units::SizeClass;
use crate::os::Os;

/// The parcels of a class.
#[derive(Clone, Copy)]
struct Pile {
    /// Link to the newest, or 0.
    newest: u64,
    /// How many they are. A block that came home twice may carry two of them: then links and count part ways.
    count: u32,
    /// The blocks in them.
    blocks: u32,
}

impl Pile {
    const NONE: Pile = Pile { newest: 0, count: 0, blocks: 0 };
}

pub struct Depot {
    piles: Checked<Pile, CLASSES>,
    bytes: usize,
}

impl Depot {
    pub const fn new() -> Self {
        Depot { piles: Checked([Pile::NONE; CLASSES]), bytes: 0 }
    }

    /// Bytes of the blocks in it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many blocks of a class are in it.
    pub fn blocks(&self, class: SizeClass) -> u32 {
        self.piles[class.0 as usize].blocks
    }

    /// Takes a parcel of blocks of this heap in, whole; gives it back where it has no room.
    pub fn keep<O: Os>(&mut self, site: &Site<O>, parcel: Closed) -> Option<Closed> {
        let bytes = parcel.count * size_class::bytes(parcel.class);
        if self.bytes + bytes > DEPOT_BYTES {
            return Some(parcel);
        }
        let pile = &mut self.piles[parcel.class.0 as usize];
        // SAFETY: the parcel is the heap's own now.
        unsafe { parcel.label(site, pile.newest) };
        let blocks = pile.blocks + parcel.count as u32;
        *pile = Pile { newest: site.link(parcel.head), count: pile.count + 1, blocks };
        self.bytes += bytes;
        None
    }

    /// The newest parcel of a class.
    pub fn take<O: Os>(&mut self, site: &Site<O>, class: SizeClass) -> Option<Parcel> {
        let pile = &mut self.piles[class.0 as usize];
        let left = pile.count.checked_sub(1)?;
        let head = site.block(pile.newest);
        // SAFETY: `keep` labelled it, and the heap owns it.
        let kept = unsafe { Closed::labelled(site, head) };
        let kept = kept.filter(|(parcel, behind)| parcel.class == class && (*behind == 0) == (left == 0));
        let Some((parcel, behind)) = kept else {
            *pile = Pile::NONE;
            site.noted.note(WRITTEN, head);
            return None;
        };
        let blocks = pile.blocks.saturating_sub(parcel.count as u32);
        *pile = Pile { newest: behind, count: left, blocks };
        self.bytes = self.bytes.saturating_sub(parcel.count * size_class::bytes(class));
        // SAFETY: labelled, and the heap's own.
        Some(unsafe { parcel.open(site) })
    }
}
