//! What a zone's lock guards: which mappings are its segments and its large blocks, the slabs with a free block
//! by class, the segments with a free granule, and the sums.
//!
//! Which mappings there are, and what the records of the segments say of themselves, a fork copies whole
//! (`large/index.rs`, `zone/record.rs`). Everything else here follows from these: `rebuild`.
#![allow(unsafe_code)]

use super::record::{Fresh, Kind, Record, Wrong};
use super::segment::{FREE_MAX, SEGMENT, Segment, Stretch, place_of, segment_of};
use crate::base::allocated::{Allocated, UNKNOWN};
use crate::base::checked::Checked;
use crate::base::config::{DIRTY_SHARE, GRANULE, GRANULE_SHIFT, ZONE_DIRTY_FLOOR};
use crate::base::size_class::{self, CLASSES};
use crate::base::units::{Granules, SizeClass, div_up};
use crate::base::why::OF_ZONE;
use crate::large::index::Index;
use crate::os::Os;
use crate::os::aligned::map_aligned;
use crate::sync::stores::in_order;

/// What of a mapping's length says that it is a segment: no length in whole pages has it.
const IS_SEGMENT: usize = 1;

/// Frees for which purging is left out where the kernel refused (locked pages): it goes on refusing.
const PURGE_PAUSE: u32 = 256;

/// How long the mapping of an entry is.
pub fn length(entry: usize) -> usize {
    entry & !IS_SEGMENT
}

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
    mappings: Index,
    /// The first slab of each class with a free block: its granule's number, or 0.
    partial: Checked<u32, CLASSES>,
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
    figures: Figures,
    limit: usize,
}

impl State {
    /// Of a zone in the segment at the address `home`.
    ///
    /// # Safety
    /// A new mapping of `SEGMENT` bytes at a multiple of that, which is the zone's from now on.
    pub unsafe fn begin(home: usize, limit: usize) -> State {
        let mut state = State {
            mappings: Index::new(),
            partial: Checked([0; CLASSES]),
            open: 0,
            home,
            last: 0,
            asked: home,
            free: 0,
            dirty: 0,
            purge_skips: 0,
            figures: Figures::default(),
            limit,
        };
        state.add_segment(home);
        state
    }

    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// Whether there is room below the limit for `bytes` more, once `credit` bytes are given up.
    pub fn allows(&self, bytes: usize, credit: usize) -> bool {
        self.figures.bytes - credit.min(self.figures.bytes) + bytes.min(isize::MAX as usize) <= self.limit
    }

    /// Takes a block of a class.
    pub fn take_small<O: Os>(&mut self, os: &O, class: SizeClass) -> Option<Allocated> {
        let number = match self.partial[class.0 as usize] {
            0 => self.new_slab(os, class)?,
            number => number,
        };
        let (mut segment, place) = self.granule(number);
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
        let (mut segment, place) = self.find(block, Kind::Slab)?;
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
                self.put_run(os, segment_of(block.addr()), Stretch { first: place, len: Granules(1) });
            }
            (_, true) => self.list_slab(number),
            _ => {}
        }
        self.count_out(size_class::bytes(class));
        Ok(())
    }

    /// Whether a block of this class that is out begins there.
    pub fn has_small(&mut self, class: SizeClass, block: *mut u8) -> Result<(), Wrong> {
        let (mut segment, place) = self.find(block, Kind::Slab)?;
        segment.record(place).find(class, block.addr() % GRANULE).map(|_| ())
    }

    /// Takes a span of so many bytes, whole pages.
    pub fn take_span<O: Os>(&mut self, os: &O, bytes: usize) -> Option<Allocated> {
        let (addr, stretch, fresh) = self.take_run(os, granules(bytes))?;
        // SAFETY: a segment of this zone, whose lock is held.
        let mut segment = unsafe { Segment::at(addr) };
        begin_span(&mut segment, stretch, bytes);
        self.count_in(bytes);
        let zeroed_from = if fresh == Fresh::Yes { 0 } else { UNKNOWN };
        Some(Allocated { block: segment.start(stretch.first), zeroed_from })
    }

    /// Whether a span of so many bytes begins there.
    pub fn has_span(&mut self, bytes: usize, block: *mut u8) -> Result<Stretch, Wrong> {
        let (mut segment, first) = self.find(block, Kind::Span)?;
        let record = segment.record(first);
        if block.addr() % GRANULE != 0 {
            return Err(Wrong::NoBlock);
        }
        let stretch = Stretch { first, len: record.len() };
        if record.span_bytes() == bytes { Ok(stretch) } else { Err(Wrong::Layout) }
    }

    pub fn put_span<O: Os>(&mut self, os: &O, bytes: usize, block: *mut u8) -> Result<(), Wrong> {
        let stretch = self.has_span(bytes, block)?;
        self.put_run(os, segment_of(block.addr()), stretch);
        self.count_out(bytes);
        Ok(())
    }

    /// Changes the length of a span where it is. False where granules behind it are taken.
    pub fn resize_span<O: Os>(&mut self, os: &O, block: *mut u8, of: Stretch, bytes: usize) -> bool {
        let addr = segment_of(block.addr());
        let (want, end) = (granules(bytes), of.first + of.len.0 as usize);
        if want > of.len {
            let more = Stretch { first: end, len: Granules(want.0 - of.len.0) };
            if self.change(addr, |segment| segment.take_exactly(more)).is_none() {
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
            self.put_run(os, addr, Stretch { first, len: Granules(of.len.0 - want.0) });
        }
        true
    }

    /// Maps a block of so many bytes, whole pages, at a multiple of `align`.
    pub fn map_large<O: Os>(&mut self, os: &O, len: usize, align: usize) -> Option<Allocated> {
        if !self.mappings.reserve(os) {
            return None;
        }
        let block = map_aligned(os, len, align, OF_ZONE)?;
        self.enter_large(block, len);
        Some(Allocated { block, zeroed_from: 0 })
    }

    /// Whether a large block of so many bytes begins there.
    pub fn has_large(&self, len: usize, block: *mut u8) -> Result<(), Wrong> {
        match self.mappings.get(block.addr()) {
            Some(found) if found == len => Ok(()),
            Some(found) if found & IS_SEGMENT == 0 => Err(Wrong::Layout),
            _ => Err(Wrong::NoBlock),
        }
    }

    /// Forgets a large block, which the caller is to unmap.
    pub fn leave_large(&mut self, len: usize, block: *mut u8) -> Result<(), Wrong> {
        self.has_large(len, block)?;
        self.mappings.remove(block.addr());
        self.count_out(len);
        self.figures.mapped -= len;
        Ok(())
    }

    /// Changes the length of a large block, which is one of this zone's.
    pub fn remap_large<O: Os>(&mut self, os: &O, block: *mut u8, old: usize, new: usize) -> Option<*mut u8> {
        // Out of the index meanwhile: a fork's child must not take the address for what it was.
        self.mappings.set_aside(block.addr());
        in_order();
        // SAFETY: a live mapping of this zone that its owner wants changed.
        let moved = unsafe { os.remap(block, old, new, OF_ZONE) };
        self.count_out(old);
        self.figures.mapped -= old;
        match moved {
            Some(moved) => self.enter_large(moved, new),
            None => self.enter_large(block, old),
        }
        moved
    }

    fn enter_large(&mut self, block: *mut u8, len: usize) {
        _ = block.expose_provenance();
        self.mappings.insert(block.addr(), len);
        self.count_in(len);
        self.figures.mapped += len;
    }

    /// All its mappings, for the zone's end: nothing is known of any of them from here on.
    pub fn take_all(&mut self) -> Index {
        core::mem::replace(&mut self.mappings, Index::new())
    }

    /// In a fork's child, where another thread of the parent held the lock.
    pub fn rebuild(&mut self) {
        self.mappings.recount();
        self.partial = Checked([0; CLASSES]);
        (self.open, self.asked, self.free, self.dirty) = (0, self.home, 0, 0);
        self.figures = Figures::default();
        let mappings = self.take_all();
        for (addr, len) in mappings.iter() {
            if len & IS_SEGMENT == 0 {
                self.count_in(len);
                self.figures.mapped += len;
            } else {
                self.rebuild_segment(addr);
            }
        }
        self.mappings = mappings;
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
        self.partial = Checked([u32::MAX; CLASSES]);
        (self.open, self.free, self.dirty) = (usize::MAX, u32::MAX, u32::MAX);
        self.figures = Figures { bytes: 1, blocks: 1, mapped: 1 };
    }

    fn rebuild_segment(&mut self, addr: usize) {
        // SAFETY: a segment of this zone, and the only thread is this one.
        let mut segment = unsafe { Segment::at(addr) };
        segment.recount();
        self.figures.mapped += SEGMENT;
        self.free += segment.free();
        self.dirty += segment.dirty();
        if segment.free() > 0 {
            self.open_segment(addr);
        }
        let first = number_of(addr);
        for place in 1..=FREE_MAX as usize {
            // SAFETY: as above; the handle before it is not used any more.
            let mut segment = unsafe { Segment::at(addr) };
            let record = segment.record(place);
            match record.kind() {
                Kind::Slab => {
                    self.figures.blocks += record.used();
                    self.figures.bytes += record.used() * size_class::bytes(record.class);
                    if !record.is_full() {
                        self.list_slab(first + place as u32);
                    }
                }
                Kind::Span => self.count_in(record.span_bytes()),
                Kind::Body | Kind::Free => {}
            }
        }
    }

    fn count_in(&mut self, bytes: usize) {
        self.figures.bytes += bytes;
        self.figures.blocks += 1;
    }

    fn count_out(&mut self, bytes: usize) {
        self.figures.bytes -= bytes;
        self.figures.blocks -= 1;
    }

    /// The granule of an address, where it is of this kind. Any address may be asked for.
    #[inline]
    fn find(&mut self, block: *mut u8, kind: Kind) -> Result<(Segment, usize), Wrong> {
        let (addr, place) = (segment_of(block.addr()), place_of(block.addr()));
        if addr != self.asked {
            if self.mappings.get(addr) != Some(SEGMENT | IS_SEGMENT) {
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
        let is_large = self.mappings.get(block.addr()).is_some_and(|len| len & IS_SEGMENT == 0);
        if is_large { Wrong::Layout } else { Wrong::NoBlock }
    }

    fn granule(&self, number: u32) -> (Segment, usize) {
        let addr = (number as usize) << GRANULE_SHIFT;
        // SAFETY: numbers are of granules in this zone's segments, and its lock is held.
        (unsafe { Segment::at(segment_of(addr)) }, place_of(addr))
    }

    fn new_slab<O: Os>(&mut self, os: &O, class: SizeClass) -> Option<u32> {
        let (addr, stretch, fresh) = self.take_run(os, Granules(1))?;
        let number = number_of(addr) + stretch.first as u32;
        let (mut segment, place) = self.granule(number);
        segment.record(place).begin_slab(class, fresh);
        self.list_slab(number);
        Some(number)
    }

    fn list_slab(&mut self, number: u32) {
        let (mut segment, place) = self.granule(number);
        let record = segment.record(place);
        let first = core::mem::replace(&mut self.partial[record.class.0 as usize], number);
        (record.prev, record.next) = (0, first);
        self.with_record(first, |next| next.prev = number);
    }

    fn unlist_slab(&mut self, number: u32) {
        let (mut segment, place) = self.granule(number);
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
            let (mut segment, place) = self.granule(number);
            f(segment.record(place));
        }
    }

    /// Takes a run of granules out of the first segment that has one, or of a new one.
    fn take_run<O: Os>(&mut self, os: &O, len: Granules) -> Option<(usize, Stretch, Fresh)> {
        let mut addr = self.open;
        while addr != 0 {
            if let Some((stretch, fresh)) = self.change(addr, |segment| segment.take(len)) {
                return Some((addr, stretch, fresh));
            }
            // SAFETY: a segment of this zone, whose lock is held.
            addr = unsafe { Segment::at(addr) }.head().next;
        }
        if !self.mappings.reserve(os) {
            return None;
        }
        let addr = self.map_segment(os)?;
        self.add_segment(addr);
        let (stretch, fresh) = self.change(addr, |segment| segment.take(len))?;
        Some((addr, stretch, fresh))
    }

    /// Takes a run back. What it makes too much goes back to the kernel.
    fn put_run<O: Os>(&mut self, os: &O, addr: usize, stretch: Stretch) {
        let free = self.change(addr, |segment| {
            segment.put(stretch);
            segment.free()
        });
        // As many free granules stay: a program at the edge of a segment does not map and unmap one each time.
        if free == FREE_MAX && addr != self.home && self.free >= 2 * FREE_MAX {
            self.drop_segment(os, addr);
        }
        if self.dirty as usize * GRANULE > self.dirty_bound() {
            self.purge(os);
        }
    }

    fn dirty_bound(&self) -> usize {
        ZONE_DIRTY_FLOOR.max(self.figures.bytes / 1024 * DIRTY_SHARE)
    }

    /// Has half the bound stay dirty at most.
    #[cold]
    fn purge<O: Os>(&mut self, os: &O) {
        if self.purge_skips > 0 {
            self.purge_skips -= 1;
            return;
        }
        let keep = self.dirty_bound() / 2;
        let mut addr = self.open;
        while addr != 0 && self.dirty as usize * GRANULE > keep {
            self.change(addr, |segment| segment.purge(os));
            // SAFETY: a segment of this zone, whose lock is held.
            addr = unsafe { Segment::at(addr) }.head().next;
        }
        if self.dirty as usize * GRANULE > self.dirty_bound() {
            self.purge_skips = PURGE_PAUSE;
        }
    }

    /// A new segment, below the one before it if there is room: what touches is one mapping to the kernel.
    fn map_segment<O: Os>(&self, os: &O) -> Option<usize> {
        let near = os.map_near(self.last.wrapping_sub(SEGMENT), SEGMENT, OF_ZONE)?;
        if near.addr() % SEGMENT == 0 {
            return Some(near.expose_provenance());
        }
        // SAFETY: mapped above, and nobody knows of it.
        unsafe { os.unmap(near, SEGMENT, OF_ZONE) };
        map_aligned(os, SEGMENT, SEGMENT, OF_ZONE).map(|at| at.expose_provenance())
    }

    fn add_segment(&mut self, addr: usize) {
        // SAFETY: a new mapping, this zone's.
        unsafe { Segment::at(addr) }.begin();
        in_order();
        self.mappings.insert(addr, SEGMENT | IS_SEGMENT);
        self.last = addr;
        self.free += FREE_MAX;
        self.figures.mapped += SEGMENT;
        self.open_segment(addr);
    }

    /// Unmaps a segment that is free but for its tables. Where the kernel refuses (its count of mappings is
    /// full) it stays.
    fn drop_segment<O: Os>(&mut self, os: &O, addr: usize) {
        self.close_segment(addr);
        self.asked = self.home;
        // SAFETY: a segment of this zone, whose lock is held.
        let dirty = unsafe { Segment::at(addr) }.dirty();
        self.mappings.set_aside(addr);
        in_order();
        // SAFETY: no block is out of it.
        if unsafe { os.unmap(core::ptr::with_exposed_provenance_mut(addr), SEGMENT, OF_ZONE) } {
            (self.free, self.dirty) = (self.free - FREE_MAX, self.dirty - dirty);
            self.figures.mapped -= SEGMENT;
        } else {
            self.mappings.insert(addr, SEGMENT | IS_SEGMENT);
            self.open_segment(addr);
        }
    }

    /// Changes what is free in a segment by `f`, and what is known of that outside of it.
    fn change<R>(&mut self, addr: usize, f: impl FnOnce(&mut Segment) -> R) -> R {
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
}

/// The number of the granule of an address, over all 48 bits.
fn number_of(addr: usize) -> u32 {
    (addr >> GRANULE_SHIFT) as u32
}

fn granules(bytes: usize) -> Granules {
    Granules(div_up(bytes, GRANULE) as u32)
}

fn begin_span(segment: &mut Segment, stretch: Stretch, bytes: usize) {
    (stretch.first + 1..stretch.first + stretch.len.0 as usize)
        .for_each(|place| segment.record(place).begin_body());
    segment.record(stretch.first).begin_span(stretch.len, bytes);
}
