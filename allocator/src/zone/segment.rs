//! A segment: 4 MiB of addresses at a multiple of that, which is 64 granules. The first one holds what is
//! known of the others, a bit each in a word and a record.
//!
//! ```text
//!   granule   0: head, room for the zone, records │ 1: slab │ 2 … 5: span │ 6: free │ …
//! ```
//!
//! Invariant I18: a segment is touched with its zone's lock held, through one handle at a time.
//!
//! Invariant I19: a granule is free by its bit if and only if it is by its record. A free one that is not
//! dirty reads as zero.
#![allow(unsafe_code)]

use super::record::{Fresh, Kind, Record};
use crate::base::config::{GRANULE, GRANULE_SHIFT};
use crate::base::units::{Granules, round_down};
use crate::base::why::OF_ZONE;
use crate::os::Os;

pub const SEGMENT: usize = 4 << 20;
const GRANULES: usize = SEGMENT / GRANULE;

/// The granules of an empty segment that are free: all but the first.
const ALL: u64 = !1;
pub const FREE_MAX: u32 = GRANULES as u32 - 1;

/// Where the zone is in its first segment: beside the head, so that a small one is on few pages.
const ROOM: usize = 64;
const RECORDS: usize = 3072;

const _: () = assert!(GRANULES == u64::BITS as usize);
const _: () = assert!(size_of::<Head>() <= ROOM && RECORDS % align_of::<Record>() == 0);
const _: () = assert!(RECORDS + GRANULES * size_of::<Record>() <= GRANULE);

#[repr(C)]
pub struct Head {
    free: u64,
    /// Of the free ones, those that may have pages behind them.
    dirty: u64,
    /// The neighbours in the list of segments with a free granule: addresses, or 0.
    pub next: usize,
    pub prev: usize,
}

/// The right to a segment, as long as its zone's lock is held.
pub struct Segment {
    addr: usize,
}

/// Granules of one segment, side by side.
#[derive(Clone, Copy)]
pub struct Stretch {
    pub first: usize,
    pub len: Granules,
}

impl Stretch {
    fn mask(self) -> u64 {
        (u64::MAX >> (GRANULES as u32 - self.len.0.clamp(1, GRANULES as u32))) << (self.first % GRANULES)
    }

    fn places(self) -> core::ops::Range<usize> {
        self.first..self.first + self.len.0 as usize
    }
}

/// Whether a zone of this type has room there.
pub const fn has_room<T>() -> bool {
    size_of::<T>() <= RECORDS - ROOM && ROOM % align_of::<T>() == 0
}

/// The address of the segment that an address would be in.
pub fn segment_of(addr: usize) -> usize {
    round_down(addr, SEGMENT)
}

/// Which of its segment's granules an address is in.
pub fn place_of(addr: usize) -> usize {
    (addr % SEGMENT) >> GRANULE_SHIFT
}

impl Segment {
    /// The segment at an address.
    ///
    /// # Safety
    /// A segment is mapped there, whose zone's lock the caller holds for as long as it uses the handle; no
    /// other handle of it is in use (I18).
    pub unsafe fn at(addr: usize) -> Segment {
        Segment { addr }
    }

    pub fn head(&mut self) -> &mut Head {
        // SAFETY: I18. Zeros are a head, and so is what was written since.
        unsafe { &mut *core::ptr::with_exposed_provenance_mut(self.addr) }
    }

    pub fn record(&mut self, place: usize) -> &mut Record {
        let records: *mut Record = core::ptr::with_exposed_provenance_mut(self.addr + RECORDS);
        // SAFETY: I18, and inside the table. Zeros are a record, and so is what was written since.
        unsafe { &mut *records.add(place % GRANULES) }
    }

    /// Where a granule begins.
    pub fn start(&self, place: usize) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(self.addr + place * GRANULE)
    }

    /// Where the zone is, of a zone's first segment.
    pub fn room(addr: usize) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(addr + ROOM)
    }

    /// Of a new mapping.
    pub fn begin(&mut self) {
        self.head().free = ALL;
    }

    pub fn free(&mut self) -> u32 {
        self.head().free.count_ones()
    }

    pub fn dirty(&mut self) -> u32 {
        self.head().dirty.count_ones()
    }

    /// Takes the first run of so many free granules. Their records are free ones still.
    pub fn take(&mut self, len: Granules) -> Option<(Stretch, Fresh)> {
        // Bit g stays where the granules from g on are free.
        let free = self.head().free;
        let starts = (1..len.0.min(GRANULES as u32)).fold(free, |starts, ahead| starts & free >> ahead);
        if starts == 0 {
            return None;
        }
        let stretch = Stretch { first: starts.trailing_zeros() as usize, len };
        Some((stretch, self.head().take(stretch)))
    }

    /// Takes these granules where all of them are free.
    pub fn take_exactly(&mut self, stretch: Stretch) -> Option<Fresh> {
        let head = self.head();
        let are_free = stretch.places().end <= GRANULES && head.free & stretch.mask() == stretch.mask();
        are_free.then(|| head.take(stretch))
    }

    /// Takes granules back.
    pub fn put(&mut self, stretch: Stretch) {
        stretch.places().for_each(|place| self.record(place).end());
        let head = self.head();
        (head.free, head.dirty) = (head.free | stretch.mask(), head.dirty | stretch.mask());
    }

    /// Gives the pages of the dirty granules back, as far as the kernel takes them.
    pub fn purge<O: Os>(&mut self, os: &O) {
        let mut left = self.head().dirty;
        while left != 0 {
            let first = left.trailing_zeros() as usize;
            let stretch = Stretch { first, len: Granules((!(left >> first)).trailing_zeros()) };
            left &= !stretch.mask();
            // SAFETY: free granules of this segment (I18, I19).
            if unsafe { os.purge(self.start(first), stretch.len.0 as usize * GRANULE, OF_ZONE) } {
                self.head().dirty &= !stretch.mask();
            }
        }
    }

    /// In a fork's child that may have copied a change half done: what is free by the records is free, and
    /// nothing is known of its pages.
    pub fn recount(&mut self) {
        let (mut free, mut place) = (0, 1);
        while place < GRANULES {
            let record = self.record(place);
            match record.kind() {
                Kind::Slab => record.recount(),
                Kind::Span => {
                    place += record.len().0.max(1) as usize;
                    continue;
                }
                // A body that no span reaches is of one that was being made, or ended.
                Kind::Free | Kind::Body => {
                    record.end();
                    free |= 1 << place;
                }
            }
            place += 1;
        }
        let head = self.head();
        (head.free, head.dirty) = (free, free);
    }
}

impl Head {
    fn take(&mut self, stretch: Stretch) -> Fresh {
        let mask = stretch.mask();
        let fresh = if self.dirty & mask == 0 { Fresh::Yes } else { Fresh::No };
        (self.free, self.dirty) = (self.free & !mask, self.dirty & !mask);
        fresh
    }
}
