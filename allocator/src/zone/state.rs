//! What a zone's lock guards: its segments and large blocks, the slabs with a free block, and the sums.
//!
//! Which mappings there are, and what the records of the segments say of themselves, a fork copies whole
//! (`large/index.rs`, `zone/record.rs`). Everything else here follows from these: `rebuild`.
#![allow(unsafe_code)]

use super::record::{Fresh, Kind, Record, Wrong};
use super::segment::{FREE_MAX, Segment, Stretch, segment_of};
use super::segments::{Mapping, Segments, number_of};
use crate::base::allocated::{Allocated, UNKNOWN};
use crate::base::checked::Checked;
use crate::base::config::GRANULE;
use crate::base::size_class::{self, CLASSES};
use crate::base::units::{Granules, SizeClass, div_up};
use crate::base::why::OF_ZONE;
use crate::large::index::Index;
use crate::os::Os;
use crate::os::aligned::map_aligned;
use crate::sync::stores::in_order;

/// How much memory a zone has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Of the blocks that are out: of small ones what their classes have, of others whole pages.
    pub bytes: usize,
    pub blocks: usize,
    /// Of all its mappings, free parts and its own tables included.
    pub mapped: usize,
}

pub struct State {
    segments: Segments,
    /// The first slab of each class with a free block: its granule's number, or 0.
    partial: Checked<u32, CLASSES>,
    /// Bytes and number of the blocks that are out.
    bytes: usize,
    blocks: usize,
    limit: usize,
}

impl State {
    /// Of a zone in the segment at the address `home`.
    ///
    /// # Safety
    /// As for `Segments::begin`.
    pub unsafe fn begin(home: usize, limit: usize) -> State {
        // SAFETY: as the caller vouches.
        let segments = unsafe { Segments::begin(home) };
        State { segments, partial: Checked([0; CLASSES]), bytes: 0, blocks: 0, limit }
    }

    pub fn figures(&self) -> Figures {
        Figures { bytes: self.bytes, blocks: self.blocks, mapped: self.segments.mapped }
    }

    /// Whether there is room below the limit for `bytes` more, once `credit` bytes are given up.
    pub fn allows(&self, bytes: usize, credit: usize) -> bool {
        self.bytes - credit.min(self.bytes) + bytes.min(isize::MAX as usize) <= self.limit
    }

    /// Takes a block of a class.
    pub fn take_small<O: Os>(&mut self, os: &O, class: SizeClass) -> Option<Allocated> {
        let number = match self.partial[class.0 as usize] {
            0 => self.new_slab(os, class)?,
            number => number,
        };
        let (mut segment, place) = self.segments.granule(number);
        let record = segment.record(place);
        let taken = record.take();
        if record.is_full() {
            self.unlist_slab(number);
        }
        self.count_in(size_class::bytes(class));
        let zeroed_from = if taken.fresh == Fresh::Yes { 0 } else { UNKNOWN };
        Some(Allocated { block: segment.start(place).wrapping_add(taken.offset), zeroed_from })
    }

    /// Takes a block back whose layout has this class.
    pub fn put_small<O: Os>(&mut self, os: &O, class: SizeClass, block: *mut u8) -> Result<(), Wrong> {
        let (mut segment, place) = self.segments.find(block, Kind::Slab)?;
        let record = segment.record(place);
        let at = record.find(class, block.addr() % GRANULE)?;
        let was_full = record.is_full();
        record.put(at);
        let number = number_of(block.addr());
        match (record.used(), was_full) {
            (0, _) => {
                if !was_full {
                    self.unlist_slab(number);
                }
                self.segments.put_run(
                    os,
                    segment_of(block.addr()),
                    Stretch { first: place, len: Granules(1) },
                    self.bytes,
                );
            }
            (_, true) => self.list_slab(number),
            _ => {}
        }
        self.count_out(size_class::bytes(class));
        Ok(())
    }

    /// Whether a block of this class that is out begins there.
    pub fn has_small(&mut self, class: SizeClass, block: *mut u8) -> Result<(), Wrong> {
        let (mut segment, place) = self.segments.find(block, Kind::Slab)?;
        segment.record(place).find(class, block.addr() % GRANULE).map(|_| ())
    }

    /// Takes a span of so many bytes, whole pages.
    pub fn take_span<O: Os>(&mut self, os: &O, bytes: usize) -> Option<Allocated> {
        let (addr, stretch, fresh) = self.segments.take_run(os, granules(bytes))?;
        // SAFETY: a segment of this zone, whose lock is held.
        let mut segment = unsafe { Segment::at(addr) };
        begin_span(&mut segment, stretch, bytes);
        self.count_in(bytes);
        let zeroed_from = if fresh == Fresh::Yes { 0 } else { UNKNOWN };
        Some(Allocated { block: segment.start(stretch.first), zeroed_from })
    }

    /// Whether a span of so many bytes begins there.
    pub fn has_span(&mut self, bytes: usize, block: *mut u8) -> Result<Stretch, Wrong> {
        let (mut segment, first) = self.segments.find(block, Kind::Span)?;
        let record = segment.record(first);
        if block.addr() % GRANULE != 0 {
            return Err(Wrong::NoBlock);
        }
        let stretch = Stretch { first, len: record.len() };
        if record.span_bytes() == bytes { Ok(stretch) } else { Err(Wrong::Layout) }
    }

    pub fn put_span<O: Os>(&mut self, os: &O, bytes: usize, block: *mut u8) -> Result<(), Wrong> {
        let stretch = self.has_span(bytes, block)?;
        self.segments.put_run(os, segment_of(block.addr()), stretch, self.bytes);
        self.count_out(bytes);
        Ok(())
    }

    /// Changes the length of a span where it is. False where granules behind it are taken.
    pub fn resize_span<O: Os>(&mut self, os: &O, block: *mut u8, of: Stretch, bytes: usize) -> bool {
        let addr = segment_of(block.addr());
        let (want, end) = (granules(bytes), of.first + of.len.0 as usize);
        if want > of.len {
            let more = Stretch { first: end, len: Granules(want.0 - of.len.0) };
            if self.segments.change(addr, |segment| segment.take_exactly(more)).is_none() {
                return false;
            }
            // SAFETY: a segment of this zone, whose lock is held.
            let mut segment = unsafe { Segment::at(addr) };
            (end..end + more.len.0 as usize).for_each(|place| segment.record(place).begin_body());
        }
        // SAFETY: as above.
        let mut segment = unsafe { Segment::at(addr) };
        let record = segment.record(of.first);
        self.count_out(record.span_bytes());
        record.set_span(want, bytes);
        self.count_in(bytes);
        if want < of.len {
            in_order();
            let first = of.first + want.0 as usize;
            self.segments.put_run(os, addr, Stretch { first, len: Granules(of.len.0 - want.0) }, self.bytes);
        }
        true
    }

    /// Maps a block of so many bytes, whole pages, at a multiple of `align`.
    pub fn map_large<O: Os>(&mut self, os: &O, len: usize, align: usize) -> Option<Allocated> {
        if !self.segments.index.reserve(os) {
            return None;
        }
        let block = map_aligned(os, len, align, OF_ZONE)?;
        self.enter_large(block, len);
        Some(Allocated { block, zeroed_from: 0 })
    }

    /// Whether a large block of so many bytes begins there.
    pub fn has_large(&self, len: usize, block: *mut u8) -> Result<(), Wrong> {
        match self.segments.index.get(block.addr()) {
            Some(found) if found == len => Ok(()),
            Some(found) if matches!(Mapping::of(found), Mapping::Large(_)) => Err(Wrong::Layout),
            _ => Err(Wrong::NoBlock),
        }
    }

    /// Forgets a large block, which the caller is to unmap.
    pub fn leave_large(&mut self, len: usize, block: *mut u8) -> Result<(), Wrong> {
        self.has_large(len, block)?;
        self.segments.index.remove(block.addr());
        self.count_out(len);
        self.segments.mapped -= len;
        Ok(())
    }

    /// Changes the length of a large block, which is one of this zone's.
    pub fn remap_large<O: Os>(&mut self, os: &O, block: *mut u8, old: usize, new: usize) -> Option<*mut u8> {
        // Out of the index meanwhile: a fork's child must not take the address for what it was.
        self.segments.index.set_aside(block.addr());
        in_order();
        // SAFETY: a live mapping of this zone that its owner wants changed.
        let moved = unsafe { os.remap(block, old, new, OF_ZONE) };
        self.count_out(old);
        self.segments.mapped -= old;
        match moved {
            Some(moved) => self.enter_large(moved, new),
            None => self.enter_large(block, old),
        }
        moved
    }

    fn enter_large(&mut self, block: *mut u8, len: usize) {
        _ = block.expose_provenance();
        self.segments.index.insert(block.addr(), len);
        self.count_in(len);
        self.segments.mapped += len;
    }

    /// All its mappings, for the zone's end: nothing is known of any of them from here on.
    pub fn take_all(&mut self) -> Index {
        self.segments.take_all()
    }

    /// In a fork's child, where another thread of the parent held the lock.
    pub fn rebuild(&mut self) {
        self.partial = Checked([0; CLASSES]);
        (self.bytes, self.blocks) = (0, 0);
        let index = self.segments.begin_again();
        for (addr, entry) in index.iter() {
            match Mapping::of(entry) {
                Mapping::Large(len) => {
                    self.count_in(len);
                    self.segments.mapped += len;
                }
                Mapping::Segment(_) => {
                    self.segments.rebuild_segment(addr);
                    self.rebuild_blocks(addr);
                }
            }
        }
        self.segments.index = index;
    }

    /// Counts the blocks of a segment in, and lists its slabs.
    fn rebuild_blocks(&mut self, addr: usize) {
        let first = number_of(addr);
        for number in first + 1..=first + FREE_MAX {
            let (mut segment, place) = self.segments.granule(number);
            let record = segment.record(place);
            match record.kind() {
                Kind::Slab => {
                    self.blocks += record.used();
                    self.bytes += record.used() * size_class::bytes(record.class);
                    if !record.is_full() {
                        self.list_slab(number);
                    }
                }
                Kind::Span => self.count_in(record.span_bytes()),
                Kind::Body | Kind::Free => {}
            }
        }
    }

    #[cfg(test)]
    pub fn free(&self) -> u32 {
        self.segments.free()
    }

    #[cfg(test)]
    pub fn dirty(&self) -> u32 {
        self.segments.dirty()
    }

    /// Leaves all that a fork may copy half changed as it must not stay.
    #[cfg(test)]
    pub fn tear(&mut self) {
        self.segments.tear();
        self.partial = Checked([u32::MAX; CLASSES]);
        (self.bytes, self.blocks) = (1, 1);
    }

    fn count_in(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.blocks += 1;
    }

    fn count_out(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.blocks -= 1;
    }

    fn new_slab<O: Os>(&mut self, os: &O, class: SizeClass) -> Option<u32> {
        let (addr, stretch, fresh) = self.segments.take_run(os, Granules(1))?;
        let number = number_of(addr) + stretch.first as u32;
        let (mut segment, place) = self.segments.granule(number);
        segment.record(place).begin_slab(class, fresh);
        self.list_slab(number);
        Some(number)
    }

    fn list_slab(&mut self, number: u32) {
        let (mut segment, place) = self.segments.granule(number);
        let record = segment.record(place);
        let first = core::mem::replace(&mut self.partial[record.class.0 as usize], number);
        (record.prev, record.next) = (0, first);
        self.with_record(first, |next| next.prev = number);
    }

    fn unlist_slab(&mut self, number: u32) {
        let (mut segment, place) = self.segments.granule(number);
        let record = segment.record(place);
        let (prev, next, class) = (record.prev, record.next, record.class);
        if prev == 0 {
            self.partial[class.0 as usize] = next;
        }
        self.with_record(prev, |record| record.next = next);
        self.with_record(next, |record| record.prev = prev);
    }

    fn with_record(&mut self, number: u32, f: impl FnOnce(&mut Record)) {
        if number != 0 {
            let (mut segment, place) = self.segments.granule(number);
            f(segment.record(place));
        }
    }
}

fn granules(bytes: usize) -> Granules {
    Granules(div_up(bytes, GRANULE) as u32)
}

fn begin_span(segment: &mut Segment, stretch: Stretch, bytes: usize) {
    (stretch.first + 1..stretch.first + stretch.len.0 as usize)
        .for_each(|place| segment.record(place).begin_body());
    segment.record(stretch.first).begin_span(stretch.len, bytes);
}
