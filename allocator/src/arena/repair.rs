//! The arena in the child of a fork that caught other threads at work.

use super::Arena;
use super::page_map::Entry;
use super::runs;
use super::state::State;
use crate::config::GRANULE;
use crate::os::Os;
use crate::sync::lock::Inherited;
use crate::units::{GranuleIdx, Granules, div_up};
use core::ops::Range;

impl<O: Os> Arena<O> {
    /// In the child of a fork: makes the free runs right again, whatever another thread was doing to
    /// them. The page map is the truth: what has no entry is free.
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
        self.with_state(|state| {
            // Also where nothing was torn: the kernel's own copy may be.
            if state.top.owns_break() {
                // SAFETY: as the caller vouches; the break is this arena's.
                unsafe { self.os.settle_break() };
            }
            if inherited == Inherited::Torn {
                state.purging = 0;
                state.stretches.settle();
                self.rebuild(state);
            }
        });
    }

    /// Whether the calling thread holds the lock.
    pub fn is_mine(&self) -> bool {
        self.started.is_mine()
    }

    fn rebuild(&self, state: &mut State) {
        let Some(geometry) = self.geometry() else { return };
        let pages = div_up(GRANULE, state.page) as u8;
        let stretches = state.stretches;
        let (chunks, runs) = state.parts();
        runs.reset();
        let mut used = 0;
        // All of them first: they share sums.
        for Range { start, end } in stretches.iter() {
            runs::forget(chunks, start, end);
        }
        for Range { start: from, end: to } in stretches.iter() {
            let mut start = from;
            for granule in from..=to {
                // What ends the stretch ends a run too.
                let entry = match granule < to {
                    // SAFETY: inside a stretch, and so the window.
                    true => unsafe { geometry.map.get(granule as usize) },
                    false => Entry::HOLE,
                };
                if entry == Entry::FREE {
                    continue;
                }
                if granule > start {
                    let (head, len) = (GranuleIdx(start), Granules(granule - start));
                    runs::soil(chunks, head, len, pages);
                    runs.insert(chunks, head, len);
                }
                start = granule + 1;
                used += (entry != Entry::HOLE) as u32;
            }
        }
        state.in_use = used;
    }
}
