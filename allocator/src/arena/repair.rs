//! The arena in the child of a fork that caught other threads at work.
#![allow(unsafe_code)]

use super::Arena;
use super::bits::Bits;
use super::block_list::BlockList;
use super::page_map::Entry;
use super::state::{State, places};
use crate::base::config::{BLOCK_GRANULES, GRANULE};
use crate::base::units::{GranuleIdx, div_up};
use crate::base::why::{Cause, Reason};
use crate::os::Os;
use crate::sync::lock::Inherited;
use crate::sync::token::token;
use core::ops::Range;

impl<O: Os> Arena<O> {
    /// In the child of a fork: makes the free runs right again, whatever another thread was doing to
    /// them. The page map is the truth: what was gained and has no entry is free.
    ///
    /// # Safety
    /// As for `Allocator::repair_after_fork`.
    pub unsafe fn repair_after_fork(&self) {
        // SAFETY: as the caller vouches.
        let inherited = unsafe { self.started.reopen() };
        if inherited == Inherited::Mine {
            // Nobody else was changing it; the calling thread goes on where it was.
            return;
        }
        let torn = inherited == Inherited::Torn;
        self.with_state(|state| {
            self.end_others_purges(state, torn);
            if torn {
                // SAFETY: as the caller vouches. The kernel's own copy need not fit what the other noted of
                // it.
                unsafe { state.brk.reread(&self.os) };
                self.rebuild(state);
            }
        });
    }

    /// Whether the calling thread holds the lock.
    pub fn is_mine(&self) -> bool {
        self.started.is_mine()
    }

    /// Runs that other threads were purging are free again; where all is rebuilt they need only be forgotten.
    fn end_others_purges(&self, state: &mut State, rebuilt: bool) {
        let page = state.page;
        while let Some(row) = state.purging.0.iter_mut().find(|row| row.thread != 0 && row.thread != token())
        {
            let left = *row;
            row.thread = 0;
            if let Some(at) = state.find(left.head).filter(|_| !rebuilt) {
                add(state, at, places(left.head, left.len), page);
            }
        }
    }

    fn rebuild(&self, state: &mut State) {
        let Some(geometry) = self.geometry() else { return };
        let page = state.page;
        state.blocks = BlockList::new();
        (state.free, state.dirty, state.in_use, state.bit_parts) = (0, 0, 0, 0);
        for block in geometry.directory.iter() {
            if !state.blocks.reserve(&self.os, Reason::Fork.by(Cause::Process)) {
                // What is free in it is lost; what is live stays so.
                continue;
            }
            // SAFETY: the only thread of the process is this one; no other reference to the head is alive.
            let head = unsafe { block.head() };
            head.runs.forget();
            let first = head.number * BLOCK_GRANULES;
            let at = state.blocks.insert(block, head.number);
            state.bit_parts += block.bit_parts();
            let mut free = Bits::NONE;
            for place in head.gained.stretches().flatten() {
                let granule = GranuleIdx(first + place);
                // What this thread itself is purging is neither: it will be free.
                let purged = state.purging.0.iter().any(|row| row.holds(granule));
                match self.entry_of(geometry, granule) {
                    Entry::FREE if purged => {}
                    Entry::FREE => free.set(place..place + 1),
                    _ => state.in_use += 1,
                }
            }
            free.stretches().for_each(|run| add(state, at, run, page));
        }
    }
}

/// Adds granules of which nothing is known to the free runs.
fn add(state: &mut State, at: usize, granules: Range<u32>, page: usize) {
    state.change(at, |runs| {
        runs.mark_dirty(granules.clone(), div_up(GRANULE, page) as u8);
        runs.insert(granules)
    });
}
