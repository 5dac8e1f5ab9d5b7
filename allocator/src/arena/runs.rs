//! Free runs of granules: first fit at the lowest address, in time that hardly depends on their number.
//!
//! ```text
//!   granules   │used│ free run, 3  │used│used│ free, 1 │…
//!   edges        0    +3   0   -3    0    0      1      …    length at the head, and less than 0 at the tail
//!   summaries  │ of 16 granules: longest run, dirty? │ of 16 │ …    in chunks of the table
//!              │ of 256: the longest of those, dirty?         …
//! ```
//!
//! Neighbours are found through the edges beside a run, so freed runs join at once. The lowest run that is
//! long enough, and the highest granule that is dirty, are found down the tree of summaries.
//!
//! From `units_from` on the arena stands on huge pages, which are only worth purging whole: there a unit
//! of 32 granules counts as purgeable when all of it is free (as 512 pages, at its first granule, since
//! a huge page is resident as one), and what is free beside something in use is *pinned*.
//!
//! Invariants:
//! 1. No two free runs touch: `insert` joins them.
//! 2. A granule's dirty `pages` are an upper bound of those that may hold anything but zeros; they are kept
//!    while the granule is in use.
//! 3. Edges are as in the picture; inside of runs and in used granules they are 0. A summary is what its
//!    granules say: whatever changes an edge or what counts of a granule refreshes it.
//! 4. `purge` says what counts of a free granule, and `dirty` is the sum: below the units its `pages`; of
//!    a whole unit all 512 pages at the first granule if any is dirty; elsewhere nothing, or its `pages` once
//!    `break_units` gave the huge page up, and `pinned` counts the `pages` of those where nothing counts.
//!    Of used granules nothing counts.

mod chunks;
mod summary;
mod units;

use crate::units::{GranuleIdx, Granules};
pub use chunks::{CHUNK, Chunk, Chunks, clean, dirty_pages, forget, holders, soil};
use core::ops::Range;
use summary::{Tree, group};

pub struct Runs {
    tree: Tree,
    free: u32,
    dirty: u32,
    pinned: u32,
    /// The first granule that stands on huge pages: the start of one.
    units_from: u32,
}

impl Runs {
    pub const fn new() -> Self {
        Runs { tree: Tree::new(), free: 0, dirty: 0, pinned: 0, units_from: u32::MAX }
    }

    /// Forgets all runs, of which nothing is left in the chunks.
    pub fn reset(&mut self) {
        *self = Runs { units_from: self.units_from, ..Runs::new() };
    }

    /// Says that from this granule on, the start of a huge page, there are huge pages.
    pub fn start_units(&mut self, from: GranuleIdx) {
        self.units_from = self.units_from.min(from.0);
    }

    /// Free granules in all.
    pub fn free(&self) -> Granules {
        Granules(self.free)
    }

    /// Dirty pages in free runs that a purge may take.
    pub fn dirty(&self) -> u32 {
        self.dirty
    }

    /// Dirty pages of free granules beside used ones of the same huge page.
    pub fn pinned(&self) -> u32 {
        self.pinned
    }

    /// Adds a run; where it touches another, they become one, whose granules are returned. They keep their
    /// dirty pages.
    pub fn insert(&mut self, chunks: &mut Chunks, head: GranuleIdx, len: Granules) -> Range<u32> {
        let joined = head.0..head.0 + len.0;
        let (before, behind) = (chunks.len_before(joined.start), chunks.len_from(joined.end));
        let run = joined.start - before..joined.end + behind;
        self.tree.cover(chunks, run.end);
        chunks.unlink(run.start..joined.start);
        chunks.unlink(joined.end..run.end);
        chunks.link(run.clone());
        self.count_in(chunks, joined.clone(), run.clone());
        self.free += len.0;
        self.refresh(chunks, joined, run.clone());
        run
    }

    /// Takes `len` granules, at least one, at the lowest address where they fit and where index plus `phase`
    /// is a multiple of `align`.
    pub fn take_first(
        &mut self,
        chunks: &mut Chunks,
        len: Granules,
        align: Granules,
        phase: u32,
    ) -> Option<GranuleIdx> {
        // A run this long holds an aligned part wherever it starts.
        let fit = len.0.checked_add(align.0 - 1)?;
        if self.free < fit {
            return None;
        }
        let head = self.tree.lowest_fit(chunks, fit)?;
        let start = ((head + phase + align.0 - 1) & !(align.0 - 1)) - phase;
        self.take(chunks, start..start + len.0, head);
        Some(GranuleIdx(start))
    }

    /// Takes exactly these granules, if all of them are in one free run that starts with the first.
    pub fn take_at(&mut self, chunks: &mut Chunks, head: GranuleIdx, len: Granules) -> bool {
        let fits = chunks.len_from(head.0) >= len.0;
        if fits {
            self.take(chunks, head.0..head.0 + len.0, head.0);
        }
        fits
    }

    /// Takes the upper dirty part of the highest dirty run: as much of it as holds `pages` dirty pages, or
    /// all; not what is clean above it. Huge pages are taken whole.
    pub fn take_dirty(&mut self, chunks: &mut Chunks, pages: u32) -> Option<(GranuleIdx, Granules)> {
        if self.dirty == 0 {
            return None;
        }
        let last = self.tree.highest_dirty(chunks)?;
        let head = self.tree.last_head(chunks, last)?;
        let run_end = head + chunks.len_from(head);
        let end = self.unit_within(last, head, run_end).map_or(last + 1, |unit| unit + units::UNIT);
        let (mut start, mut at, mut sum) = (end, end, 0);
        while at > head && sum < pages {
            at -= 1;
            let purgeable = chunks.dirt(at).purgeable();
            if purgeable > 0 {
                sum += purgeable;
                start = at;
            }
        }
        self.take(chunks, start..end, head);
        Some((GranuleIdx(start), Granules(end - start)))
    }

    /// The free run that ends at `end`.
    pub fn last(&self, chunks: &Chunks, end: u32) -> Option<(GranuleIdx, Granules)> {
        let len = chunks.len_before(end);
        (len > 0).then(|| (GranuleIdx(end - len), Granules(len)))
    }

    /// Takes the clean end of the free run that ends at `end`, if it is `min` long at least.
    pub fn take_clean_end(
        &mut self,
        chunks: &mut Chunks,
        end: u32,
        min: Granules,
    ) -> Option<(GranuleIdx, Granules)> {
        let (head, len) = self.last(chunks, end)?;
        let mut clean = (0..len.0).take_while(|&k| chunks.dirt(end - 1 - k).pages == 0).count() as u32;
        // A huge page is not cut.
        if let Some(unit) = self.unit_of(end - clean)
            && unit < end - clean
        {
            clean = clean.saturating_sub(unit + units::UNIT - (end - clean));
        }
        if clean < min.0.max(1) {
            return None;
        }
        self.take(chunks, end - clean..end, head.0);
        Some((GranuleIdx(end - clean), Granules(clean)))
    }

    /// Takes granules out of the run at `head`, which they are a part of.
    fn take(&mut self, chunks: &mut Chunks, taken: Range<u32>, head: u32) {
        let run = head..head + chunks.len_from(head);
        self.count_out(chunks, taken.clone(), run.clone());
        chunks.unlink(run.clone());
        chunks.link(run.start..taken.start);
        chunks.link(taken.end..run.end);
        self.free -= taken.len() as u32;
        self.refresh(chunks, taken, run);
    }

    /// Sums up anew where granules joined or left a free run.
    fn refresh(&self, chunks: &mut Chunks, granules: Range<u32>, run: Range<u32>) {
        let around = self.around(granules, run.clone());
        if group(run.start) != group(around.start) {
            self.tree.refresh(chunks, run.start..run.start + 1);
        }
        self.tree.refresh(chunks, around);
    }
}

#[cfg(test)]
mod tests;
