//! Pages go back: the highest dirty ones first, so that the ends of the arena can go as addresses too.
#![allow(unsafe_code)]

use super::Arena;
use super::share::Share;
use super::state::{Purged, State, places};
use crate::base::config::GRANULE_SHIFT;
use crate::base::units::Bytes;
use crate::base::why::{Cause, Reason};
use crate::os::Os;

impl<O: Os> Arena<O> {
    /// Gives back ends, if any should go, and purges until dirty memory is inside its bound.
    pub fn enforce_bound(&self, cause: Cause) {
        // Before this thread takes the lock: a run freed before that counts below, one freed later says so
        // again.
        self.budget.clear_over();
        let wanted =
            |state: &mut State| self.budget.excess(&self.settings, state).filter(|_| state.may_purge());
        let both = self.with_state(|state| (state.ends_go, if state.ends_go { None } else { wanted(state) }));
        // Behind the lock: see `sleeper`.
        self.wake_sleeper();
        let (ends_go, mut pages) = both.unwrap_or((false, None));
        if ends_go {
            self.cut_ends(cause);
            pages = self.with_state(wanted).flatten();
        }
        while let Some(some) = pages {
            if self.purge_some(some, cause).is_none() {
                // For whoever frees next.
                self.budget.note_pressed();
                return;
            }
            pages = self.with_state(wanted).flatten();
        }
        self.budget.clear_pressed();
    }

    /// The same after a large mapping was freed. `share` was read before.
    pub fn enforce_bound_after(&self, share: Share, cause: Cause) {
        self.budget.note_held(&self.settings, share);
        if self.budget.is_held() {
            self.look_at_swing();
        }
        if self.budget.asks(&self.settings, share) {
            self.enforce_bound(cause);
        }
    }

    /// Purges every free run, lowers the break as far as it goes, and unmaps what is free of regions. The
    /// pages that went.
    pub fn purge_all(&self, cause: Cause) -> Bytes {
        let went = self.purge_pages(u32::MAX, cause);
        self.cut_ends_to(0, cause);
        self.budget.swing.forget();
        went
    }

    /// Purges so many dirty pages, the highest ones, or all there are. Those that went.
    pub fn purge_pages(&self, pages: u32, cause: Cause) -> Bytes {
        let mut went = 0;
        while went < pages {
            let Some(some) = self.purge_some(pages - went, cause) else { break };
            went += some;
        }
        Bytes(went as usize * self.os.page())
    }

    /// Purges the highest dirty run, or its upper part that holds `pages` dirty pages. How many went; None
    /// where there is none, or where the kernel refuses.
    fn purge_some(&self, pages: u32, cause: Cause) -> Option<u32> {
        let geometry = self.geometry()?;
        let purging = self.with_state(|state| state.start_purge(pages)).flatten()?;
        let len = (purging.len.0 as usize) << GRANULE_SHIFT;
        // SAFETY: the granules are in no free run and nobody's (I1): this thread took them out.
        let done = unsafe { self.os.purge(geometry.start(purging.head), len, Reason::Purge.by(cause)) };
        let purged = if done { Purged::Done } else { Purged::Refused };
        self.with_state(|state| {
            let Some((at, run)) = state.end_purge(purging, purged) else { return };
            if done {
                // A run's records may be as many as its pages were: they go too.
                let granules = places(purging.head, purging.len);
                state.blocks.block(at).purge_records(&self.os, granules, run, Reason::Tables.by(cause));
            }
            self.trim_break(geometry, state, cause);
        });
        if done {
            self.note_gone(Bytes(purging.pages as usize * self.os.page()));
        }
        done.then_some(purging.pages)
    }
}
