//! Huge pages under the runs: which of them are whole, and what that makes purgeable or pinned. See
//! invariant 4 of the runs.

use super::Runs;
use super::chunks::{Chunks, Dirt, Purge, soil};
use crate::units::{GranuleIdx, Granules};
use core::ops::Range;

/// Granules of a huge page, and its pages. Only 4 KiB pages have huge ones of this size.
pub const UNIT: u32 = 32;
pub(super) const UNIT_PAGES: u32 = 512;
pub(super) const GRANULE_PAGES: u8 = (UNIT_PAGES / UNIT) as u8;

impl Dirt {
    /// Pages that a purge of this granule is to bring.
    pub(super) fn purgeable(self) -> u32 {
        match self.purge {
            Purge::Nothing => 0,
            Purge::Pages => self.pages as u32,
            Purge::Unit => UNIT_PAGES,
        }
    }
}

impl Runs {
    /// Says that from this granule on, the start of a huge page, there are huge pages, and only there. What
    /// was resident as a huge page is dirty in all its pages from then on.
    pub fn set_units(&mut self, chunks: &mut Chunks, from: u32) {
        let lower = self.units_from.min(from);
        self.for_runs_above(chunks, lower, |runs, chunks, run| {
            runs.soil_units(chunks, run.clone());
            runs.count_out(chunks, run.clone(), run);
        });
        self.units_from = from;
        self.for_runs_above(chunks, lower, |runs, chunks, run| {
            runs.count_in(chunks, run.clone(), run.clone());
            runs.tree.refresh(chunks, run);
        });
    }

    /// Calls `f` with all free runs that reach beyond a granule, the highest first.
    fn for_runs_above(
        &mut self,
        chunks: &mut Chunks,
        from: u32,
        f: impl Fn(&mut Self, &mut Chunks, Range<u32>),
    ) {
        // Of an arena that has gained nothing there is no table to ask.
        let mut next = if self.free > 0 { self.tree.highest_head(chunks) } else { None };
        while let Some(head) = next {
            let run = head..head + chunks.len_from(head);
            if run.end <= from {
                return;
            }
            f(self, chunks, run);
            next = head.checked_sub(1).and_then(|below| self.tree.last_head(chunks, below));
        }
    }

    /// Marks as dirty what is resident of a free run with the huge pages that it is of.
    fn soil_units(&self, chunks: &mut Chunks, run: Range<u32>) {
        let mut at = run.start.max(self.units_from);
        while let Some(unit) = self.unit_of(at).filter(|_| at < run.end) {
            let part = at..run.end.min(unit + UNIT);
            at = part.end;
            let clean = part.len() == UNIT as usize && part.clone().all(|one| chunks.dirt(one).pages == 0);
            if !clean {
                soil(chunks, GranuleIdx(part.start), Granules(part.len() as u32), GRANULE_PAGES);
            }
        }
    }

    /// The start of the huge page that a granule is of, if it is of one.
    pub(super) fn unit_of(&self, granule: u32) -> Option<u32> {
        (granule >= self.units_from).then(|| granule - (granule - self.units_from) % UNIT)
    }

    /// The same, if all of the huge page lies in `head..end`.
    pub(super) fn unit_within(&self, granule: u32, head: u32, end: u32) -> Option<u32> {
        self.unit_of(granule).filter(|&unit| unit >= head && unit + UNIT <= end)
    }

    /// What changes in a free run where granules join or leave it: they, what is beside them, and the huge
    /// pages that they are of.
    pub(super) fn around(&self, granules: Range<u32>, run: Range<u32>) -> Range<u32> {
        let start = self.unit_of(granules.start).unwrap_or(granules.start);
        let end = self.unit_of(granules.end - 1).map_or(granules.end, |unit| unit + UNIT);
        start.max(run.start)..end.max(granules.end + 1).min(run.end)
    }

    /// Counts granules in that have joined the free run `run`.
    pub(super) fn count_in(&mut self, chunks: &mut Chunks, joined: Range<u32>, run: Range<u32>) {
        let mut at = joined.start;
        while at < joined.end {
            let Some(unit) = self.unit_of(at) else {
                self.count_pages(chunks, at);
                at += 1;
                continue;
            };
            let part = at..joined.end.min(unit + UNIT);
            at = part.end;
            if self.unit_within(unit, run.start, run.end).is_none() {
                self.pinned += pages_of(part.len());
                continue;
            }
            // All of it is free now: what was pinned before counts as one.
            self.pinned -= pages_of(UNIT as usize - part.len());
            if (unit..unit + UNIT).any(|one| chunks.dirt(one).pages > 0) {
                self.count_as(chunks, unit, Purge::Unit);
            }
        }
    }

    /// Counts granules out that are about to leave the free run `run`: huge pages that stay in it in part
    /// count no more as whole.
    pub(super) fn count_out(&mut self, chunks: &mut Chunks, taken: Range<u32>, run: Range<u32>) {
        let mut at = taken.start;
        while at < taken.end {
            let Some(unit) = self.unit_of(at) else {
                self.count_as(chunks, at, Purge::Nothing);
                at += 1;
                continue;
            };
            let part = at..taken.end.min(unit + UNIT);
            at = part.end;
            if self.unit_within(unit, run.start, run.end).is_some() {
                self.count_as(chunks, unit, Purge::Nothing);
                self.pinned += pages_of(UNIT as usize - part.len());
            } else {
                self.pinned -= pages_of(part.len());
            }
        }
    }

    fn count_pages(&mut self, chunks: &mut Chunks, at: u32) {
        let purge = if chunks.dirt(at).pages > 0 { Purge::Pages } else { Purge::Nothing };
        self.count_as(chunks, at, purge);
    }

    fn count_as(&mut self, chunks: &mut Chunks, at: u32, purge: Purge) {
        let dirt = chunks.dirt(at);
        self.dirty -= dirt.purgeable();
        self.dirty += Dirt { purge, ..dirt }.purgeable();
        chunks.set_purge(at, purge);
    }
}

/// Pages of so many granules.
fn pages_of(granules: usize) -> u32 {
    granules as u32 * GRANULE_PAGES as u32
}
