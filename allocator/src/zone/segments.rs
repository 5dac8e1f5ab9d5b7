//! The segments of a zone, and the index of all its mappings: segments, and large blocks beside them.
#![allow(unsafe_code)]

use super::record::{Fresh, Kind, Wrong};
use super::segment::{FREE_MAX, SEGMENT, Segment, Stretch, place_of, segment_of};
use crate::base::config::{DIRTY_SHARE, GRANULE, GRANULE_SHIFT, ZONE_DIRTY_FLOOR};
use crate::base::units::Granules;
use crate::base::why::OF_ZONE;
use crate::large::index::Index;
use crate::os::Os;
use crate::os::aligned::{is_below, map_below};
use crate::sync::stores::in_order;

/// What of a mapping's length says that it is a segment: no length in whole pages has it.
const IS_SEGMENT: usize = 1;

/// Frees for which purging is left out where the kernel refused (locked pages): it goes on refusing.
const PURGE_PAUSE: u32 = 256;

/// What a mapping of the index is, with its bytes.
pub enum Mapping {
    Segment(usize),
    Large(usize),
}

impl Mapping {
    pub fn of(entry: usize) -> Mapping {
        if entry & IS_SEGMENT == 0 { Mapping::Large(entry) } else { Mapping::Segment(entry & !IS_SEGMENT) }
    }
}

pub struct Segments {
    pub index: Index,
    /// Bytes of all mappings.
    pub mapped: usize,
    /// The first segment with a free granule: its address, or 0.
    open: usize,
    /// The segment that the zone is in, which stays.
    home: usize,
    /// The segment that was mapped last: the next one is asked for below it, where the kernel has room.
    last: usize,
    /// The segment that a block was found in last, so that the index is not asked for the next one of it.
    /// At first the zone's own.
    asked: usize,
    /// Free granules of all segments, and dirty ones among them.
    free: u32,
    dirty: u32,
    purge_skips: u32,
}

impl Segments {
    /// With the segment at the address `home`.
    ///
    /// # Safety
    /// A new mapping of `SEGMENT` bytes at a multiple of that, which is the zone's from now on.
    pub unsafe fn begin(home: usize) -> Segments {
        let mut segments = Segments {
            index: Index::new(),
            mapped: 0,
            open: 0,
            home,
            last: 0,
            asked: home,
            free: 0,
            dirty: 0,
            purge_skips: 0,
        };
        segments.add_segment(home);
        segments
    }

    /// All its mappings, for the zone's end: nothing is known of any of them from here on.
    pub fn take_all(&mut self) -> Index {
        core::mem::replace(&mut self.index, Index::new())
    }

    /// The granule of an address, where it is of this kind. Any address may be asked for.
    #[inline]
    pub fn find(&mut self, block: *mut u8, kind: Kind) -> Result<(Segment, usize), Wrong> {
        let (addr, place) = (segment_of(block.addr()), place_of(block.addr()));
        if addr != self.asked {
            if self.index.get(addr) != Some(SEGMENT | IS_SEGMENT) {
                return Err(self.why_not(block));
            }
            self.asked = addr;
        }
        // SAFETY: a segment of this zone, whose lock is held: the caller has the state.
        let mut segment = unsafe { Segment::at(addr) };
        match segment.record(place).kind() {
            found if found == kind => Ok((segment, place)),
            // The segment's own tables are no granule that was ever freed.
            Kind::Free if place > 0 => Err(Wrong::Freed),
            Kind::Slab | Kind::Span => Err(Wrong::Layout),
            Kind::Free | Kind::Body => Err(Wrong::NoBlock),
        }
    }

    /// What an address is that is in no segment.
    #[cold]
    fn why_not(&self, block: *mut u8) -> Wrong {
        let is_large = self.index.get(block.addr()).is_some_and(|len| len & IS_SEGMENT == 0);
        if is_large { Wrong::Layout } else { Wrong::NoBlock }
    }

    pub fn granule(&self, number: u32) -> (Segment, usize) {
        let addr = (number as usize) << GRANULE_SHIFT;
        // SAFETY: numbers are of granules in this zone's segments, and its lock is held.
        (unsafe { Segment::at(segment_of(addr)) }, place_of(addr))
    }

    /// Takes a run of granules out of the first segment that has one, or of a new one.
    pub fn take_run<O: Os>(&mut self, os: &O, len: Granules) -> Option<(usize, Stretch, Fresh)> {
        let mut addr = self.open;
        while addr != 0 {
            if let Some((stretch, fresh)) = self.change(addr, |segment| segment.take(len)) {
                return Some((addr, stretch, fresh));
            }
            // SAFETY: a segment of this zone, whose lock is held.
            addr = unsafe { Segment::at(addr) }.head().next;
        }
        if !self.index.reserve(os) {
            return None;
        }
        let addr = self.map_segment(os)?;
        self.add_segment(addr);
        let (stretch, fresh) = self.change(addr, |segment| segment.take(len))?;
        Some((addr, stretch, fresh))
    }

    /// Takes a run back. What it makes too much, beside `live` bytes of blocks, goes back to the kernel.
    pub fn put_run<O: Os>(&mut self, os: &O, addr: usize, stretch: Stretch, live: usize) {
        let free = self.change(addr, |segment| {
            segment.put(stretch);
            segment.free()
        });
        // As many free granules stay: a program at the edge of a segment does not map one each time.
        if free == FREE_MAX && addr != self.home && self.free >= 2 * FREE_MAX {
            self.drop_segment(os, addr);
        }
        let bound = ZONE_DIRTY_FLOOR.max(live / 1024 * DIRTY_SHARE);
        if self.dirty as usize * GRANULE > bound {
            self.purge(os, bound);
        }
    }

    /// Has half the bound stay dirty at most.
    #[cold]
    fn purge<O: Os>(&mut self, os: &O, bound: usize) {
        if self.purge_skips > 0 {
            self.purge_skips -= 1;
            return;
        }
        let keep = bound / 2;
        let mut addr = self.open;
        while addr != 0 && self.dirty as usize * GRANULE > keep {
            self.change(addr, |segment| segment.purge(os));
            // SAFETY: a segment of this zone, whose lock is held.
            addr = unsafe { Segment::at(addr) }.head().next;
        }
        if self.dirty as usize * GRANULE > bound {
            self.purge_skips = PURGE_PAUSE;
        }
    }

    /// A new segment, below the one before it if there is room: what touches is one mapping to the kernel.
    fn map_segment<O: Os>(&self, os: &O) -> Option<usize> {
        let near = os.map_near(self.last.wrapping_sub(SEGMENT), SEGMENT, OF_ZONE)?;
        if near.addr() % SEGMENT == 0 && is_below(near.addr(), SEGMENT) {
            return Some(near.expose_provenance());
        }
        // SAFETY: mapped above, and nobody knows of it.
        unsafe { os.unmap(near, SEGMENT, OF_ZONE) };
        map_below(os, SEGMENT, SEGMENT, OF_ZONE).map(|at| at.expose_provenance())
    }

    fn add_segment(&mut self, addr: usize) {
        // SAFETY: a new mapping, this zone's.
        unsafe { Segment::at(addr) }.begin();
        in_order();
        self.index.insert(addr, SEGMENT | IS_SEGMENT);
        self.last = addr;
        self.free += FREE_MAX;
        self.mapped += SEGMENT;
        self.open_segment(addr);
    }

    /// Unmaps a segment that is free but for its tables. Where the kernel refuses (its count of mappings is
    /// full) it stays.
    fn drop_segment<O: Os>(&mut self, os: &O, addr: usize) {
        self.close_segment(addr);
        self.asked = self.home;
        // SAFETY: a segment of this zone, whose lock is held.
        let dirty = unsafe { Segment::at(addr) }.dirty();
        self.index.set_aside(addr);
        in_order();
        // SAFETY: no block is out of it.
        if unsafe { os.unmap(core::ptr::with_exposed_provenance_mut(addr), SEGMENT, OF_ZONE) } {
            (self.free, self.dirty) = (self.free - FREE_MAX, self.dirty - dirty);
            self.mapped -= SEGMENT;
        } else {
            self.index.insert(addr, SEGMENT | IS_SEGMENT);
            self.open_segment(addr);
        }
    }

    /// Changes what is free in a segment by `f`, and what is known of that outside of it.
    pub fn change<R>(&mut self, addr: usize, f: impl FnOnce(&mut Segment) -> R) -> R {
        // SAFETY: a segment of this zone, whose lock is held.
        let mut segment = unsafe { Segment::at(addr) };
        let (free, dirty) = (segment.free(), segment.dirty());
        let result = f(&mut segment);
        let now = segment.free();
        self.free = self.free - free + now;
        self.dirty = self.dirty - dirty + segment.dirty();
        match (free, now) {
            (0, 1..) => self.open_segment(addr),
            (1.., 0) => self.close_segment(addr),
            _ => {}
        }
        result
    }

    fn open_segment(&mut self, addr: usize) {
        let first = core::mem::replace(&mut self.open, addr);
        // SAFETY: segments of this zone, whose lock is held; one after the other.
        unsafe {
            let mut segment = Segment::at(addr);
            (segment.head().prev, segment.head().next) = (0, first);
            if first != 0 {
                Segment::at(first).head().prev = addr;
            }
        }
    }

    fn close_segment(&mut self, addr: usize) {
        // SAFETY: as above.
        unsafe {
            let mut segment = Segment::at(addr);
            let (prev, next) = (segment.head().prev, segment.head().next);
            if prev == 0 {
                self.open = next;
            } else {
                Segment::at(prev).head().next = next;
            }
            if next != 0 {
                Segment::at(next).head().prev = prev;
            }
        }
    }

    /// Makes all anew but the index, which is put back with `rebuild_segment` for each segment in it.
    pub fn begin_again(&mut self) -> Index {
        self.index.recount();
        (self.mapped, self.open, self.asked, self.free, self.dirty) = (0, 0, self.home, 0, 0);
        self.take_all()
    }

    pub fn rebuild_segment(&mut self, addr: usize) {
        // SAFETY: a segment of this zone, and the only thread is this one.
        let mut segment = unsafe { Segment::at(addr) };
        segment.recount();
        self.mapped += SEGMENT;
        self.free += segment.free();
        self.dirty += segment.dirty();
        if segment.free() > 0 {
            self.open_segment(addr);
        }
    }

    #[cfg(test)]
    pub fn free(&self) -> u32 {
        self.free
    }

    #[cfg(test)]
    pub fn dirty(&self) -> u32 {
        self.dirty
    }

    /// Leaves all that a fork may copy half changed as it must not stay.
    #[cfg(test)]
    pub fn tear(&mut self) {
        (self.mapped, self.open, self.free, self.dirty) = (1, usize::MAX, u32::MAX, u32::MAX);
    }
}

/// The number of the granule of an address, over all 48 bits.
pub fn number_of(addr: usize) -> u32 {
    (addr >> GRANULE_SHIFT) as u32
}
