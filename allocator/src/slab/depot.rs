//! The depot of a heap: parcels that came home, kept as they are, by class, for the next refill.
//!
//! Unpacking one into a magazine is cheaper than putting its blocks into bitmaps and finding them again. It
//! is bounded by bytes over all classes; beyond, blocks go back to their slabs.

use super::parcel::{self, Parcel};
use super::site::Site;
use crate::config::DEPOT_BYTES;
use crate::os::Os;
use crate::row::Row;
use crate::size_class::{self, CLASSES};
use crate::sync::inbox::Packed;
use crate::units::SizeClass;

pub struct Depot {
    /// Link to the newest parcel of each class, or 0.
    newest: Row<u64, CLASSES>,
    bytes: usize,
}

impl Depot {
    pub const fn new() -> Self {
        Depot { newest: Row([0; CLASSES]), bytes: 0 }
    }

    /// Bytes of the blocks in it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a parcel of blocks of this heap in, whole; gives it back where it has no room.
    pub fn keep<O: Os>(&mut self, site: &Site<O>, class: SizeClass, parcel: Parcel) -> Option<Parcel> {
        let bytes = parcel.left() * size_class::bytes(class);
        if self.bytes + bytes > DEPOT_BYTES {
            return Some(parcel);
        }
        let count = parcel.left() as u64;
        let head = parcel.closed();
        let newest = &mut self.newest[class.0 as usize];
        // SAFETY: the parcel is the heap's own now, and not opened.
        unsafe { parcel::label(head, Packed::new(*newest, count)) };
        *newest = site.link(head);
        self.bytes += bytes;
        None
    }

    /// The newest parcel of a class.
    pub fn take<O: Os>(&mut self, site: &Site<O>, class: SizeClass) -> Option<Parcel> {
        let newest = &mut self.newest[class.0 as usize];
        if *newest == 0 {
            return None;
        }
        let head = site.block(*newest);
        // SAFETY: `keep` labelled it, and the heap owns it.
        let (label, parcel) = unsafe {
            let label = parcel::label_of(head);
            (label, Parcel::open(head, class, label.count() as usize))
        };
        *newest = label.link();
        self.bytes -= parcel.left() * size_class::bytes(class);
        Some(parcel)
    }
}
