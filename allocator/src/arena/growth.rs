//! What the arena gains at its end, and gives back there.

use super::page_map::Entry;
use super::state::State;
use super::tables::Tables;
use super::top::Gain;
use super::{Arena, Geometry};
use crate::config::{GRANULE_SHIFT, HUGE_PAGE, TRIM_MIN};
use crate::os::Os;
use crate::units::{GranuleIdx, Granules, round_down, round_up};
use core::sync::atomic::Ordering;

/// Granules that left the arena whose tables are worth giving back: 64 MiB, with 544 KiB of records and 8 of
/// chunks.
const TABLES_TRIM: u32 = 1024;

impl<O: Os> Arena<O> {
    /// Lowers an owned break by what is free and clean below it.
    pub(super) fn trim(&self, state: &mut State) {
        let geometry = self.started();
        let end = state.top.end().0;
        let (chunks, runs) = state.parts();
        let min = Granules((TRIM_MIN >> GRANULE_SHIFT) as u32);
        let Some((head, len)) = runs.take_clean_end(chunks, end, min) else { return };
        let below = state.stretches.end_below(head.0);
        // First: in a fork's child what is noted has to be there.
        state.stretches.forget_above(head.0);
        // SAFETY: the granules are free, clean, and taken out a moment ago.
        if unsafe { state.top.shrink(&self.os, len, Granules(below)) } {
            if below < head.0 {
                // The hole below may be filled next time, and its tables may not be ready.
                state.tables_end = state.tables_end.min(Tables::ready_to(state.page, below));
            }
            if state.tables_used - head.0 >= TABLES_TRIM {
                self.tables(geometry, state).purge(&self.os, state.page, head.0, state.tables_used);
                state.tables_used = head.0;
            }
        } else {
            state.stretches.note(head.0, head.0 + len.0);
            let (chunks, runs) = state.parts();
            runs.insert(chunks, head, len);
        }
    }

    pub(super) fn tables(&self, geometry: Geometry, state: &State) -> Tables {
        Tables {
            map: geometry.map.words().cast_mut(),
            chunks: state.chunks,
            records: geometry.records,
            len: 0,
        }
    }

    /// Adds gained granules to the free runs. False where the tables cannot follow: the granules are
    /// then given back or lost, never used.
    pub(super) fn accept(&self, geometry: &Geometry, state: &mut State, gain: Gain) -> bool {
        let (from, to) = (gain.head.0, gain.head.0 + gain.len.0);
        let tables = self.tables(*geometry, state);
        let window = Granules((geometry.window >> GRANULE_SHIFT) as u32);
        let described = state.stretches.hole_to_fill(from).and_then(|hole| {
            let end = state.tables_end;
            let ready = tables.make_ready(&self.os, state.page, window, end, hole.start, to)?;
            Some((hole, ready))
        });
        let Some((hole, ready)) = described else {
            // SAFETY: gained a moment ago, handed to nobody.
            unsafe { state.top.shrink(&self.os, gain.len, gain.head.into()) };
            return false;
        };
        state.tables_end = state.tables_end.max(ready);
        for granule in hole {
            // SAFETY: described a moment ago, and nobody's.
            unsafe { geometry.map.set(granule as usize, Entry::HOLE) };
        }
        state.tables_used = state.tables_used.max(to);
        state.stretches.note(from, to);
        self.advise_huge(state, from, to);
        let (chunks, runs) = state.parts();
        runs.insert(chunks, gain.head, gain.len);
        true
    }

    /// Asks for huge pages under what was gained of a large arena, where that was wished for.
    fn advise_huge(&self, state: &mut State, from: u32, to: u32) {
        let base = state.top.base().addr();
        let end = base + ((to as usize) << GRANULE_SHIFT);
        // Relaxed: see `set_huge_from`.
        let huge_from = self.huge_from.load(Ordering::Relaxed);
        let large = base.checked_add(huge_from).and_then(|from| round_up(from, HUGE_PAGE));
        // The unit that the gain begins in was asked for with the gain before it, if it is of the same.
        let start = round_down(base + ((from as usize) << GRANULE_SHIFT), HUGE_PAGE);
        let Some(start) = large.map(|large| start.max(large)) else { return };
        // A kernel with other pages has other huge ones too.
        if state.page != 4096 || start >= end {
            return;
        }
        let at = state.top.base().wrapping_add(start - base);
        // SAFETY: gained a moment ago, or before.
        if unsafe { self.os.advise_huge(at, end - start) } {
            state.runs.start_units(GranuleIdx(((start - base) >> GRANULE_SHIFT) as u32));
        }
    }
}
