//! Huge pages under the runs: which of them are whole, and what that makes purgeable or pinned. See
//! invariant 4 of the runs.

use super::Runs;
use super::chunks::{Chunks, Dirt, Purge};
use core::ops::Range;

/// Granules of a huge page, and its pages. Only 4 KiB pages have huge ones of this size.
pub const UNIT: u32 = 32;
pub(super) const UNIT_PAGES: u32 = 512;

impl Dirt {
    /// Pages that a purge of this granule is to bring.
    pub(super) fn purgeable(self) -> u32 {
        match self.purge {
            Purge::Nothing => 0,
            Purge::Pages => self.pages as u32,
            Purge::Unit => UNIT_PAGES,
        }
    }

    /// Pages of this granule that are pinned, if it is free beside a used one of its huge page.
    fn pinned(self) -> u32 {
        if self.purge == Purge::Nothing { self.pages as u32 } else { 0 }
    }
}

impl Runs {
    /// Gives up the huge pages that are free in part: their free granules may be purged one by one.
    pub fn break_units(&mut self, chunks: &mut Chunks) {
        if self.pinned == 0 {
            return;
        }
        let mut next = self.tree.highest_head(chunks);
        while let Some(head) = next {
            let end = head + chunks.len_from(head);
            if self.pinned == 0 || end <= self.units_from {
                return;
            }
            // Only the first and the last unit of a run can be free in part.
            for edge in [head, end - 1] {
                let Some(unit) = self.unit_of(edge) else { continue };
                if self.unit_within(edge, head, end).is_some() {
                    continue;
                }
                let part = unit.max(head)..(unit + UNIT).min(end);
                for one in part.clone() {
                    self.pinned -= chunks.dirt(one).pinned();
                    self.count_pages(chunks, one);
                }
                self.tree.refresh(chunks, part);
            }
            next = head.checked_sub(1).and_then(|below| self.tree.last_head(chunks, below));
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
                self.pinned += part.map(|one| chunks.dirt(one).pinned()).sum::<u32>();
                continue;
            }
            // All of it is free now: what counted on its own before counts as one.
            let mut soiled = false;
            for one in unit..unit + UNIT {
                soiled |= chunks.dirt(one).pages > 0;
                if !part.contains(&one) {
                    self.pinned -= chunks.dirt(one).pinned();
                }
                self.count_as(chunks, one, Purge::Nothing);
            }
            if soiled {
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
            let whole = self.unit_within(unit, run.start, run.end).is_some();
            for one in if whole { unit..unit + UNIT } else { part.clone() } {
                if !whole {
                    self.pinned -= chunks.dirt(one).pinned();
                }
                self.count_as(chunks, one, Purge::Nothing);
                if !part.contains(&one) {
                    self.pinned += chunks.dirt(one).pinned();
                }
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
