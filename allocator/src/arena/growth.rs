//! What the arena gains: the break, while it is ours to move; else regions, 256 KiB doubling to 64 MiB, near
//! what there is.
#![allow(unsafe_code)]

use super::block::{self, Block, number_of, place_of};
use super::page_map::Entry;
use super::state::State;
use super::windows::{Direction, Window};
use super::{Arena, Geometry};
use crate::base::config::{BLOCK_GRANULES, GRANULE_SHIFT, GROW_FIRST, GROW_LEAST, GROW_MAX};
use crate::base::units::{GranuleIdx, Granules};
use crate::base::why::{Cause, Reason, Why};
use crate::os::Os;
use crate::sync::stores::in_order;
use core::ops::Range;

impl State {
    /// The next step of growth is twice as long once four such steps were gained, or two short ones: calls
    /// are few, and a small program has little that it does not use.
    fn widen(&mut self) {
        let gained = ((self.in_use + self.free) as usize) << GRANULE_SHIFT;
        let steps = if self.step < GROW_LEAST { 2 } else { 4 };
        if gained >= steps * self.step {
            self.step = (self.step * 2).min(GROW_MAX);
        }
    }
}

impl<O: Os> Arena<O> {
    /// Gains a run of `want` granules at least, in one block, by whatever works: first a whole step, then a
    /// small one, then only what is wanted.
    pub(super) fn grow(&self, geometry: Geometry, state: &mut State, want: Granules, why: Why) -> bool {
        let want = (want.0 as usize) << GRANULE_SHIFT;
        for len in [want.max(state.step), want.max(GROW_FIRST), want] {
            // A run does not cross a block: what the break brings in this one may be too little.
            let end = state.brk.addrs().end;
            let rest = end.next_multiple_of(block::BLOCK) - end;
            let len_of_break = if rest < want { len + rest } else { len };
            if let Some(addrs) = state.brk.grow(&self.os, len_of_break, why) {
                state.mapped_last = false;
                state.widen();
                return self.accept(geometry, state, addrs, None, why.cause);
            }
        }
        for len in [want.max(state.step), want.max(GROW_FIRST), want] {
            let gap = self.gap(geometry, state, state.regions.from(), len);
            if let Some(addrs) = state.regions.map(&self.os, len, gap, why) {
                state.mapped_last = true;
                state.widen();
                let to = state.regions.direction();
                return self.accept(geometry, state, addrs, Some(to), why.cause);
            }
        }
        false
    }

    /// The lowest address from `from` on behind which the arena has nothing in `len` bytes: what it gave
    /// back in between is asked for again, or a program that goes up and down would wander through all
    /// addresses.
    fn gap(&self, geometry: Geometry, state: &mut State, from: usize, len: usize) -> usize {
        let mut gap = from;
        for at in 0..state.blocks.count() {
            let head = state.head(at);
            for stretch in head.gained.stretches() {
                let addr = |place| geometry.addr_of(GranuleIdx(head.number * BLOCK_GRANULES + place));
                if addr(stretch.start) >= gap + len {
                    return gap;
                }
                gap = gap.max(addr(stretch.end));
            }
        }
        gap
    }

    /// Adds gained addresses to the free runs, a region where a direction says so. False where the tables
    /// cannot follow: what is not described is given back, never used.
    pub(super) fn accept(
        &self,
        geometry: Geometry,
        state: &mut State,
        addrs: Range<usize>,
        region: Option<Direction>,
        cause: Cause,
    ) -> bool {
        let shown = self.show(geometry, state, &addrs, region.unwrap_or(Direction::Up), cause);
        let granules = geometry.granule_of(addrs.start)..geometry.granule_of(addrs.end);
        let last = number_of(GranuleIdx(granules.end.0.wrapping_sub(1)));
        let mut number = number_of(granules.start);
        loop {
            let part = Block::part(number, &granules);
            let Some(at) = self.described(geometry, state, number, part.clone(), cause) else {
                let first = geometry.addr_of(GranuleIdx(number * BLOCK_GRANULES + part.start));
                self.give_up(state, first..addrs.end, region.is_some(), cause);
                return first > addrs.start;
            };
            let head = state.head(at);
            head.outside |= !shown;
            // What is noted is there, and described.
            in_order();
            head.starts.set(part.start..part.start + 1);
            head.gained.set(part.clone());
            state.change(at, |runs| runs.insert(part));
            if number == last {
                return true;
            }
            number += 1;
        }
    }

    /// Gives addresses back that were gained a moment ago and cannot be described.
    fn give_up(&self, state: &mut State, addrs: Range<usize>, region: bool, cause: Cause) {
        let why = Reason::Trim.by(cause);
        // SAFETY: gained a moment ago, handed to nobody. Where it is refused, addresses are lost.
        unsafe {
            match region {
                true => _ = self.os.unmap(at(addrs.start), addrs.end - addrs.start, why),
                false => _ = state.brk.shrink(&self.os, addrs.start, addrs.start, why),
            }
        }
    }

    /// Where a block stands in the list, whose tables are there and say something of `granules`. None where
    /// they cannot.
    fn described(
        &self,
        geometry: Geometry,
        state: &mut State,
        number: u32,
        granules: Range<u32>,
        cause: Cause,
    ) -> Option<usize> {
        let at = self.block_of(geometry, state, number, cause)?;
        let block = state.blocks.block(at);
        let before = block.bit_parts();
        let made = block.make_bits(&self.os, granules, Reason::Tables.by(cause));
        state.bit_parts += block.bit_parts() - before;
        if !made {
            self.drop_empty(geometry, state, block, cause);
        }
        made.then_some(at)
    }

    /// Where a block stands in the list; made, if it has no tables yet.
    fn block_of(&self, geometry: Geometry, state: &mut State, number: u32, cause: Cause) -> Option<usize> {
        let why = Reason::Tables.by(cause);
        if let Some(at) = state.blocks.find(number) {
            return Some(at);
        }
        if !state.blocks.reserve(&self.os, why) {
            return None;
        }
        // One that no window shows keeps its tables.
        let block = match geometry.directory.get(number) {
            Some(block) => block,
            None => {
                let block = Block::make(&self.os, number, why)?;
                if !geometry.directory.set(&self.os, number, block, why) {
                    // SAFETY: made a moment ago.
                    unsafe { block.unmap(&self.os, why) };
                    return None;
                }
                block
            }
        };
        state.bit_parts += block.bit_parts();
        Some(state.blocks.insert(block, number))
    }

    /// Has a window show `addrs`. False where there can be none.
    fn show(
        &self,
        geometry: Geometry,
        state: &State,
        addrs: &Range<usize>,
        to: Direction,
        cause: Cause,
    ) -> bool {
        match self.windows.plan(&self.os, addrs, to, Reason::Tables.by(cause)) {
            Ok(None) => true,
            Ok(Some(window)) => {
                self.fill(geometry, state, &window);
                // SAFETY: `state` is the lock's.
                unsafe { self.windows.add(window) };
                true
            }
            Err(()) => false,
        }
    }

    /// Copies the entries of what the arena has into a new window.
    fn fill(&self, geometry: Geometry, state: &State, window: &Window) {
        for block in (0..state.blocks.count()).map(|at| state.blocks.block(at)) {
            // SAFETY: the lock is held, and no other reference to the head is alive.
            let head = unsafe { block.head() };
            for place in head.gained.stretches().flatten() {
                let granule = GranuleIdx(head.number * BLOCK_GRANULES + place);
                if let Some(place) = window.place(geometry.addr_of(granule)) {
                    // SAFETY: inside the new window's map, which nobody else knows of.
                    unsafe { window.map.set(place, self.entry_of(geometry, granule)) };
                }
            }
        }
    }

    /// Writes the entry of a granule wherever it is shown.
    pub(super) fn set_entry(&self, geometry: Geometry, block: Block, granule: GranuleIdx, entry: Entry) {
        let addr = geometry.addr_of(granule);
        for window in self.windows.iter() {
            if let Some(place) = window.place(addr) {
                // SAFETY: inside the window's map, and the caller holds the lock and the granule.
                unsafe { window.map.set(place, entry) };
            }
        }
        // SAFETY: the lock is held, and no other reference to the head is alive.
        if unsafe { block.head() }.outside {
            // SAFETY: a granule of this block, whose words are there.
            unsafe { block.words().set(place_of(granule) as usize, entry) };
        }
    }
}

/// The pointer to memory that the arena gained.
pub(super) fn at(addr: usize) -> *mut u8 {
    core::ptr::with_exposed_provenance_mut(addr)
}
