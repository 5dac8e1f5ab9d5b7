//! What the arena gains, and what it gives back as addresses.
//!
//! ```text
//!   the break, while it is ours to move; else regions, 1 MiB doubling to 64, near what there is
//!   back: the break's clean end by lowering it; a region of which nothing is used by unmapping it
//! ```

use super::block::{self, Block, number_of, place_of};
use super::page_map::Entry;
use super::state::State;
use super::windows::{Direction, Window};
use super::{Arena, Geometry};
use crate::config::{BLOCK_GRANULES, GRANULE_SHIFT, GROW_FIRST, GROW_MAX, TRIM_MIN};
use crate::os::Os;
use crate::units::{GranuleIdx, Granules};
use core::ops::Range;
use core::sync::atomic::{Ordering, compiler_fence};

/// Free granules that stay when a region is unmapped: so the next request maps none.
const KEEP_FREE: u32 = (GROW_FIRST >> GRANULE_SHIFT) as u32;

impl<O: Os> Arena<O> {
    /// Gains a run of `want` granules at least, in one block, by whatever works: first a whole step, then a
    /// small one, then only what is wanted.
    pub(super) fn grow(&self, geometry: Geometry, state: &mut State, want: Granules) -> bool {
        let want = (want.0 as usize) << GRANULE_SHIFT;
        for len in [want.max(state.step), want.max(GROW_FIRST), want] {
            // A run does not cross a block: what the break brings in this one may be too little.
            let end = state.brk.addrs().end;
            let rest = end.next_multiple_of(block::BLOCK) - end;
            let len_of_break = if rest < want { len + rest } else { len };
            if let Some(addrs) = state.brk.grow(&self.os, len_of_break) {
                state.mapped_last = false;
                state.step = (state.step * 2).min(GROW_MAX);
                return self.accept(geometry, state, addrs, None);
            }
        }
        for len in [want.max(state.step), want.max(GROW_FIRST), want] {
            if let Some(addrs) = state.regions.map(&self.os, len) {
                state.mapped_last = true;
                state.step = (state.step * 2).min(GROW_MAX);
                let to = state.regions.direction();
                return self.accept(geometry, state, addrs, Some(to));
            }
        }
        false
    }

    /// Adds gained addresses to the free runs, a region where a direction says so. False where the tables
    /// cannot follow: what is not described is given back, never used.
    pub(super) fn accept(
        &self,
        geometry: Geometry,
        state: &mut State,
        addrs: Range<usize>,
        region: Option<Direction>,
    ) -> bool {
        let shown = self.show(geometry, state, &addrs, region.unwrap_or(Direction::Up));
        let granules = geometry.granule_of(addrs.start)..geometry.granule_of(addrs.end);
        let last = number_of(GranuleIdx(granules.end.0.wrapping_sub(1)));
        let mut number = number_of(granules.start);
        loop {
            let part = Block::part(number, &granules);
            let Some(at) = self.block_of(geometry, state, number) else {
                let first = geometry.addr_of(GranuleIdx(number * BLOCK_GRANULES + part.start));
                self.give_up(state, first..addrs.end, region.is_some());
                return first > addrs.start;
            };
            let head = state.head(at);
            head.outside |= !shown;
            // A fork's copy sees one thread's stores in program order: what is noted is there, and described.
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
    fn give_up(&self, state: &mut State, addrs: Range<usize>, region: bool) {
        // SAFETY: gained a moment ago, handed to nobody. Where it is refused, addresses are lost.
        unsafe {
            match region {
                true => _ = self.os.unmap(at(addrs.start), addrs.end - addrs.start),
                false => _ = state.brk.shrink(&self.os, addrs.start, addrs.start),
            }
        }
    }

    /// Where a block stands in the list; made, if it has no tables yet.
    fn block_of(&self, geometry: Geometry, state: &mut State, number: u32) -> Option<usize> {
        if let Some(at) = state.blocks.find(number) {
            return Some(at);
        }
        if !state.blocks.reserve(&self.os) {
            return None;
        }
        // One that no window shows keeps its tables.
        let block = match geometry.directory().get(number) {
            Some(block) => block,
            None => {
                let block = Block::make(&self.os, number)?;
                if !geometry.directory().set(&self.os, number, block) {
                    // SAFETY: made a moment ago.
                    unsafe { block.unmap(&self.os) };
                    return None;
                }
                block
            }
        };
        Some(state.blocks.insert(block, number))
    }

    /// Has a window show `addrs`. False where there can be none.
    fn show(&self, geometry: Geometry, state: &State, addrs: &Range<usize>, to: Direction) -> bool {
        match self.windows.plan(&self.os, addrs, to) {
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

    /// Lowers the break by what is free and clean at its end.
    pub(super) fn trim_break(&self, geometry: Geometry, state: &mut State) {
        let min = (TRIM_MIN >> GRANULE_SHIFT) as u32;
        loop {
            let addrs = state.brk.addrs();
            if addrs.is_empty() {
                return;
            }
            let end = geometry.granule_of(addrs.end);
            let last = GranuleIdx(end.0.wrapping_sub(1));
            let Some(at) = state.find(last) else { return };
            let place = place_of(last) + 1;
            let Some(taken) = state.change(at, |runs| runs.take_clean_end(place, min)) else { return };
            let from = addrs.end - (taken.len() << GRANULE_SHIFT);
            let block = state.blocks.block(at);
            // First: in a fork's child what is noted has to be there.
            let was_start = self.forget(state, at, taken.clone());
            let below = self.gained_below(geometry, state, from).unwrap_or(addrs.start);
            // SAFETY: the granules are free, clean, and taken out a moment ago; above them is the break.
            if !unsafe { state.brk.shrink(&self.os, from, below) } {
                self.remember(state, at, taken, was_start);
                return;
            }
            state.step = GROW_FIRST;
            self.drop_empty(geometry, state, block);
        }
    }

    /// The end of what the arena gained by the break below an address.
    fn gained_below(&self, geometry: Geometry, state: &mut State, addr: usize) -> Option<usize> {
        let start = state.brk.addrs().start;
        let mut end = addr;
        while end > start {
            let granule = geometry.granule_of(end - 1);
            let place = place_of(granule);
            if let Some(at) = state.find(granule)
                && let Some(last) = state.head(at).gained.last_below(place + 1)
            {
                let last = GranuleIdx(granule.0 - place + last);
                return Some(geometry.addr_of(last) + (1 << GRANULE_SHIFT)).filter(|&end| end > start);
            }
            end = geometry.addr_of(GranuleIdx(granule.0 - place));
        }
        None
    }

    /// Unmaps the regions of a block of which nothing is used or dirty, the highest first, as long as enough
    /// stays free.
    pub(super) fn unmap_regions(&self, geometry: Geometry, state: &mut State, at: usize) {
        let block = state.blocks.block(at);
        let mut end = BLOCK_GRANULES;
        while let Some(start) = state.head(at).starts.last_below(end) {
            let head = state.head(at);
            let region = start..head.gained.next(start, false).min(end);
            end = start;
            let addr = geometry.addr_of(state.index(block, start));
            let len = region.len() as u32;
            if state.brk.addrs().contains(&addr) || state.free < len + KEEP_FREE {
                continue;
            }
            let head = state.head(at);
            if region.is_empty() || !head.runs.is_clean(region.clone()) {
                continue;
            }
            state.change(at, |runs| runs.take_exactly(region.clone()));
            let was_start = self.forget(state, at, region.clone());
            // SAFETY: the region's granules are nobody's, and were mapped.
            if !unsafe { self.os.unmap(self::at(addr), region.len() << GRANULE_SHIFT) } {
                self.remember(state, at, region, was_start);
                return;
            }
            state.step = GROW_FIRST;
        }
        self.drop_empty(geometry, state, block);
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
    fn drop_empty(&self, geometry: Geometry, state: &mut State, block: Block) {
        // SAFETY: the lock is held, and no other reference to the head is alive.
        let head = unsafe { block.head() };
        let number = head.number;
        let Some(at) = state.blocks.find(number).filter(|_| head.gained.is_empty() && !head.outside) else {
            return;
        };
        state.blocks.remove(at);
        geometry.directory().clear(number);
        // SAFETY: nothing of the block is the arena's, and it is in no list any more.
        if !unsafe { block.unmap(&self.os) } {
            // They stay, and are found when the addresses are gained again.
            geometry.directory().set(&self.os, number, block);
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
fn at(addr: usize) -> *mut u8 {
    core::ptr::with_exposed_provenance_mut(addr)
}

/// A fork's copy sees one thread's stores in program order, if the compiler leaves them in it.
fn in_order() {
    compiler_fence(Ordering::SeqCst);
}
