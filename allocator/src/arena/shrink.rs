//! What the arena gives back as addresses: the ends of regions by unmapping them, the break's by lowering it.
//!
//! ```text
//!   │ region: used │ free │ used │ free: an end │      │ region: free, all of it an end │
//!   │ the break: used │ free │ used │ free: the end │→ break
//! ```
//!
//! After a purge the break's clean end goes. Beside it, what waits is bounded: where much is free, the free
//! that makes an end long has the ends go, the highest first, dirty or not. So a program that frees what it
//! had keeps few addresses, wherever its last dirty pages are. An end goes by parts: the lock is held for
//! as long as the kernel takes for 16 MiB.
#![allow(unsafe_code)]

use super::block::{Block, place_of};
use super::growth::at as pointer;
use super::state::State;
use super::{Arena, Geometry};
use crate::base::config::{BLOCK_GRANULES, GRANULE_SHIFT, GROW_LEAST, TRIM_MIN};
use crate::base::units::{Bytes, GranuleIdx};
use crate::base::why::{Cause, Reason};
use crate::os::Os;
use crate::sync::stores::in_order;
use core::ops::Range;

/// Free granules from which on ends go, and how many stay (32 and 16 MiB): as much has to be taken again
/// before the next growth, so a program that goes up and down pays few calls. While something swings both are
/// a quarter of that more: 48 and 32 MiB at most, unless the key says otherwise.
const MOST: u32 = 512;
const LEFT: u32 = 256;

/// An end of so many granules goes (16 MiB), a shorter one only if it is all of its region; so many at once.
const LONG: u32 = 256;

/// What is shorter than this is not worth a system call.
const LEAST: u32 = (TRIM_MIN >> GRANULE_SHIFT) as u32;

impl State {
    /// Whether much is free, and more than is in use: ends would have gone, so something keeps it.
    pub fn is_pinned(&self) -> bool {
        self.free > MOST && self.free > self.in_use
    }

    /// Looks whether the free run that a granule has joined is an end that should go.
    pub fn note_end(&mut self, geometry: Geometry, at: usize, run: Range<u32>, place: u32) {
        if self.free <= MOST {
            self.refused_at = 0;
        }
        let len = run.len() as u32;
        // The break's last granules may be few in this block.
        if self.free <= MOST + self.more || self.free < self.refused_at || len < LEAST && run.start > 0 {
            return;
        }
        // Most runs are neither long nor all of a region: two bits tell.
        let head = self.head(at);
        let all = head.starts.get(run.start) && (run.end == BLOCK_GRANULES || !head.gained.get(run.end));
        if len < LONG && !all {
            return;
        }
        let (whole, is_end) = self.whole(geometry, at, place);
        let end = run.start.max(whole.start)..run.end.min(whole.end);
        self.ends_go |= end.end == whole.end
            && (end.len() as u32 >= LONG || end == whole)
            && (is_end || self.is_free_above(geometry, at, &whole));
    }

    /// Whether what the break has above a stretch, which ends with its block, is free too.
    fn is_free_above(&mut self, geometry: Geometry, at: usize, stretch: &Range<u32>) -> bool {
        let (brk, mut next) =
            (self.brk.addrs(), GranuleIdx(self.head(at).number * BLOCK_GRANULES + stretch.end));
        while geometry.addr_of(next) != brk.end {
            let Some(above) = self.find(next).filter(|_| place_of(next) == 0) else { return false };
            let head = self.head(above);
            let end = head.gained.next_clear(0);
            if end == 0 || head.runs.last(end).start > 0 {
                return false;
            }
            next = GranuleIdx(next.0 + end);
        }
        true
    }

    /// What a granule can go with, as far as it is in this block: its region, or its stretch of the
    /// break's. And whether nothing of the same is above it.
    fn whole(&mut self, geometry: Geometry, at: usize, place: u32) -> (Range<u32>, bool) {
        let brk = self.brk.addrs();
        let head = self.head(at);
        let addr_of = |place: u32| geometry.addr_of(GranuleIdx(head.number * BLOCK_GRANULES + place));
        if brk.contains(&addr_of(place)) {
            let mut stretches = head.gained.stretches();
            let stretch = stretches.find(|stretch| stretch.contains(&place)).unwrap_or(place..place);
            let is_end = addr_of(stretch.end) == brk.end;
            return (stretch, is_end);
        }
        let start = head.starts.last_below(place + 1).unwrap_or(place);
        (start..head.gained.next_clear(start).min(head.starts.next_set(start + 1)), true)
    }

    /// The highest free end of a block that is worth it, below a granule: what of it goes, if `most` may.
    fn end(&mut self, geometry: Geometry, at: usize, most: u32) -> Option<Range<u32>> {
        let mut above = BLOCK_GRANULES;
        while let Some(last) = self.head(at).gained.last_below(above) {
            above = self.head(at).starts.last_below(last + 1)?;
            let (whole, is_end) = self.whole(geometry, at, last);
            if !is_end {
                continue;
            }
            let free = self.head(at).runs.last(whole.end);
            let len = (whole.end - free.start.max(whole.start)).min(most).min(LONG);
            if len >= LEAST || len == whole.len() as u32 {
                return Some(whole.end - len..whole.end);
            }
        }
        None
    }
}

impl<O: Os> Arena<O> {
    /// Gives ends back until few granules are free.
    pub(super) fn cut_ends(&self, cause: Cause) {
        let more = self.with_state(|state| state.more).unwrap_or(0);
        self.cut_ends_to(LEFT + more, cause);
    }

    /// Gives ends back until only so many granules are free.
    pub(super) fn cut_ends_to(&self, left: u32, cause: Cause) {
        let Some(geometry) = self.geometry() else { return };
        let count = self.with_state(|state| state.blocks.count()).unwrap_or(0);
        for at in (0..count).rev() {
            while self.with_state(|state| self.cut_end(geometry, state, at, left, cause)) == Some(true) {}
        }
        self.with_state(|state| state.ends_go = false);
    }

    /// Gives back a part of the highest end of a block. False where there is none, or it is refused.
    fn cut_end(&self, geometry: Geometry, state: &mut State, at: usize, left: u32, cause: Cause) -> bool {
        let Some(most) = state.free.checked_sub(left).filter(|_| at < state.blocks.count()) else {
            return false;
        };
        let Some(end) = state.end(geometry, at, most) else { return false };
        let before = state.dirty;
        let taken = state.change(at, |runs| runs.take_exactly(end.clone()));
        let dirty = Bytes((before - state.dirty) as usize * state.page);
        let went = taken && self.give_back(geometry, state, at, end, cause);
        if went {
            self.note_gone(dirty);
        }
        went
    }

    /// Lowers the break by what is free and clean at its end.
    pub(super) fn trim_break(&self, geometry: Geometry, state: &mut State, cause: Cause) {
        loop {
            let addrs = state.brk.addrs();
            if addrs.is_empty() {
                return;
            }
            let last = geometry.granule_of(addrs.end - 1);
            let Some(at) = state.find(last) else { return };
            // What is less than that in its block hides what is below it.
            let place = place_of(last) + 1;
            let least = if state.head(at).runs.last(place).start == 0 { 1 } else { LEAST };
            let Some(end) = state.change(at, |runs| runs.take_clean_end(place, least)) else { return };
            if !self.give_back(geometry, state, at, end, cause) {
                return;
            }
        }
    }

    /// Gives back granules of an end, taken out of the free ones a moment ago. False where the kernel keeps
    /// them: they are free again.
    fn give_back(
        &self,
        geometry: Geometry,
        state: &mut State,
        at: usize,
        granules: Range<u32>,
        cause: Cause,
    ) -> bool {
        let why = Reason::Trim.by(cause);
        let block = state.blocks.block(at);
        let addr = geometry.addr_of(state.index(block, granules.start));
        // First: in a fork's child what is noted has to be there.
        let was_start = self.forget(state, at, granules.clone());
        let done = if state.brk.addrs().contains(&addr) {
            let below = self.gained_below(geometry, state, addr).unwrap_or(state.brk.addrs().start);
            // SAFETY: nobody's granules, and above them is the break, or it is refused.
            unsafe { state.brk.shrink(&self.os, addr, below, why) }
        } else {
            // SAFETY: nobody's granules, of a region that was mapped.
            unsafe { self.os.unmap(pointer(addr), granules.len() << GRANULE_SHIFT, why) }
        };
        if !done {
            self.remember(state, at, granules, was_start);
            state.refused_at = state.free + LONG;
            return false;
        }
        state.change(at, |runs| runs.clean(granules));
        state.regions.forget();
        (state.step, state.refused_at) = (GROW_LEAST, 0);
        self.drop_empty(geometry, state, block, cause);
        true
    }

    /// The end of what the arena gained by the break below an address.
    fn gained_below(&self, geometry: Geometry, state: &mut State, addr: usize) -> Option<usize> {
        let start = state.brk.addrs().start;
        let mut end = addr;
        while end > start {
            let granule = geometry.granule_of(end - 1);
            let place = place_of(granule);
            let last = state.find(granule).and_then(|at| state.head(at).gained.last_below(place + 1));
            if let Some(last) = last {
                let last = GranuleIdx(granule.0 - place + last);
                return Some(geometry.addr_of(last) + (1 << GRANULE_SHIFT)).filter(|&end| end > start);
            }
            end = geometry.addr_of(GranuleIdx(granule.0 - place));
        }
        None
    }

    /// Notes that granules, taken out of the free ones, are the arena's no more. Whether a region started
    /// with them.
    fn forget(&self, state: &mut State, at: usize, granules: Range<u32>) -> bool {
        let head = state.head(at);
        let was_start = head.starts.get(granules.start);
        head.gained.clear(granules.clone());
        head.starts.clear(granules);
        in_order();
        was_start
    }

    /// Takes back what `forget` noted: the kernel kept the granules where they are.
    fn remember(&self, state: &mut State, at: usize, granules: Range<u32>, was_start: bool) {
        let head = state.head(at);
        head.gained.set(granules.clone());
        if was_start {
            head.starts.set(granules.start..granules.start + 1);
        }
        state.change(at, |runs| runs.insert(granules));
    }

    /// Unmaps the tables of a block of which nothing is left.
    pub(super) fn drop_empty(&self, geometry: Geometry, state: &mut State, block: Block, cause: Cause) {
        let why = Reason::Tables.by(cause);
        // SAFETY: the lock is held, and no other reference to the head is alive.
        let head = unsafe { block.head() };
        let number = head.number;
        let Some(at) = state.blocks.find(number).filter(|_| head.gained.is_empty() && !head.outside) else {
            return;
        };
        state.blocks.remove(at);
        state.bit_parts -= block.bit_parts();
        geometry.directory.clear(number);
        // SAFETY: nothing of the block is the arena's, and it is in no list any more.
        if !unsafe { block.unmap(&self.os, why) } {
            // They stay, and are found when the addresses are gained again.
            geometry.directory.set(&self.os, number, block, why);
        }
    }
}
