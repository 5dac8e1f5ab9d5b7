//! Pages go back: the highest dirty ones first, so that the ends of the arena can go as addresses too.
#![allow(unsafe_code)]

use super::Arena;
use super::budget::Share;
use super::state::{Purged, State, places};
use crate::base::config::GRANULE_SHIFT;
use crate::os::Os;

impl<O: Os> Arena<O> {
    /// Gives back ends, if any should go, and purges until dirty memory is inside its bound.
    pub fn enforce_bound(&self) {
        // Before this thread takes the lock: a run freed before that counts below, one freed later says so
        // again.
        self.budget.clear_over();
        let wanted =
            |state: &mut State| self.budget.excess(&self.settings, state).filter(|_| state.may_purge());
        let both = self.with_state(|state| (state.ends_go, if state.ends_go { None } else { wanted(state) }));
        let (ends_go, mut pages) = both.unwrap_or((false, None));
        if ends_go {
            self.cut_ends();
            pages = self.with_state(wanted).flatten();
        }
        while let Some(some) = pages {
            if !self.purge_some(some) {
                // For whoever frees next.
                self.budget.note_pressed();
                return;
            }
            pages = self.with_state(wanted).flatten();
        }
        self.budget.clear_pressed();
    }

    /// The same after a large mapping was freed. `share` was read before.
    pub fn enforce_bound_after(&self, share: Share) {
        if self.budget.asks(&self.settings, share) {
            self.enforce_bound();
        }
    }

    /// Purges every free run, lowers the break as far as it goes, and unmaps what is free of regions.
    pub fn purge_all(&self) {
        while self.purge_some(u32::MAX) {}
        self.cut_ends_to(0);
    }

    /// Purges the highest dirty run, or its upper part that holds `pages` dirty pages. False where
    /// there is none, or where the kernel refuses.
    fn purge_some(&self, pages: u32) -> bool {
        let Some(geometry) = self.geometry() else { return false };
        let Some(purging) = self.with_state(|state| state.start_purge(pages)).flatten() else { return false };
        let len = (purging.len.0 as usize) << GRANULE_SHIFT;
        // SAFETY: the granules are in no free run and nobody's (I1): this thread took them out.
        let done = unsafe { self.os.purge(geometry.start(purging.head), len) };
        let purged = if done { Purged::Done } else { Purged::Refused };
        self.with_state(|state| {
            let Some((at, run)) = state.end_purge(purging, purged) else { return };
            if done {
                // A run's records may be as many as its pages were: they go too.
                let granules = places(purging.head, purging.len);
                state.blocks.block(at).purge_records(&self.os, granules, run);
            }
            self.trim_break(geometry, state);
        });
        done
    }
}
