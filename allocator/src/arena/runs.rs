//! Free runs of granules in one block: first fit at the lowest address, in time that does not depend on their
//! number.
//!
//! ```text
//!   granules   │used│ free run, 3  │used│used│ free, 1 │…
//!   edges        0    +3   0   -3    0    0      1      …    length at the head, and less than 0 at the tail
//!   summaries  │ of 16 granules: longest run, dirty?                │ of 16 │ …
//!              │ of 256: the longest of those, dirty?                       …
//! ```
//!
//! Neighbours are found through the edges beside a run, so freed runs join at once. The lowest run that is
//! long enough, and the highest granule that is dirty, are found down the summaries.
//!
//! Invariants:
//! - I4: No two free runs touch: `insert` joins them.
//! - I5: A granule's dirty `pages` are an upper bound of those that may hold anything but zeros; they are
//!   kept while the granule is in use. Its `purgeable` pages are the same while it is free, and 0 while it is
//!   not.
//! - I6: Edges are as in the picture; inside of runs and in used granules they are 0. A summary is what its
//!   granules say: whatever changes an edge or a purgeable count refreshes it.
//!
//! Zero bytes are a block of which nothing is free: a fresh mapping is valid.
#![forbid(unsafe_code)]

mod summary;

use crate::base::checked::{Checked, at_or_end_mut, chunk_or_end, part_or_end};
use crate::base::config::BLOCK_GRANULES;
use core::ops::Range;
pub use summary::Summary;

const BLOCK: usize = BLOCK_GRANULES as usize;
/// Entries that one summary sums up.
const FANOUT: usize = 16;
const GROUPS: usize = BLOCK / FANOUT;
const SUPERS: usize = GROUPS / FANOUT;
const _: () = assert!(SUPERS * FANOUT * FANOUT == BLOCK && BLOCK <= i16::MAX as usize);

/// The free runs of a block. Granules are counted from the block's first.
#[repr(C)]
pub struct Runs {
    free: u32,
    dirty: u32,
    /// Of 256 granules each.
    supers: Checked<Summary, SUPERS>,
    /// Of 16 granules each.
    groups: Checked<Summary, GROUPS>,
    /// The length of the free run whose first granule this is; minus the length, at the last one. A run of
    /// one granule has 1; all others have 0.
    edges: Checked<i16, BLOCK>,
    purgeable: Checked<u8, BLOCK>,
    pages: Checked<u8, BLOCK>,
}

impl Runs {
    /// Nothing free, nothing dirty.
    #[cfg(test)]
    pub const fn nothing() -> Self {
        Runs {
            free: 0,
            dirty: 0,
            supers: Checked([Summary::NOTHING; SUPERS]),
            groups: Checked([Summary::NOTHING; GROUPS]),
            edges: Checked([0; BLOCK]),
            purgeable: Checked([0; BLOCK]),
            pages: Checked([0; BLOCK]),
        }
    }

    /// Takes every granule for a used one, whatever run it was in. Dirty pages are kept.
    pub fn forget(&mut self) {
        (self.free, self.dirty) = (0, 0);
        self.supers.0.fill(Summary::NOTHING);
        self.groups.0.fill(Summary::NOTHING);
        self.edges.0.fill(0);
        self.purgeable.0.fill(0);
    }

    /// Free granules in all.
    pub fn free(&self) -> u32 {
        self.free
    }

    /// Dirty pages of all free granules.
    pub fn dirty(&self) -> u32 {
        self.dirty
    }

    /// The longest free run of the block, and whether anything in it is dirty.
    pub fn summary(&self) -> Summary {
        Summary::of(&self.supers.0)
    }

    /// Adds a run; where it touches another, they become one, which is returned. Granules keep their dirty
    /// pages.
    pub fn insert(&mut self, joined: Range<u32>) -> Range<u32> {
        let run = joined.start - self.len_before(joined.start)..joined.end + self.len_from(joined.end);
        self.unlink(run.start..joined.start);
        self.unlink(joined.end..run.end);
        self.link(run.clone());
        for at in joined.clone() {
            let pages = self.pages[at as usize];
            self.purgeable[at as usize] = pages;
            self.dirty += pages as u32;
        }
        self.free += joined.len() as u32;
        // The granule behind what joined was a head perhaps, and is none any more.
        self.refresh(run.start, joined.start..(joined.end + 1).min(run.end));
        run
    }

    /// Takes `len` granules, at least one, at the lowest multiple of `align` where they fit.
    pub fn take_first(&mut self, len: u32, align: u32) -> Option<u32> {
        // A run this long holds an aligned part wherever it starts.
        let head = self.lowest_fit(len + (align - 1))?;
        let start = (head + align - 1) & !(align - 1);
        self.take(start..start + len, head);
        Some(start)
    }

    /// Takes exactly these granules, if all of them are in one free run. False, and nothing done, if not.
    pub fn take_exactly(&mut self, granules: Range<u32>) -> bool {
        let head = self.head_of(&granules);
        if let Some(head) = head {
            self.take(granules, head);
        }
        head.is_some()
    }

    /// Takes the upper dirty part of the highest dirty run: as much of it as holds `pages` dirty pages, or
    /// all; not what is clean above it.
    pub fn take_dirty(&mut self, pages: u32) -> Option<Range<u32>> {
        let last = self.highest_dirty()?;
        let head = self.last_head(last)?;
        let (end, mut start, mut at, mut sum) = (last + 1, last + 1, last + 1, 0);
        while at > head && sum < pages {
            at -= 1;
            let purgeable = self.purgeable[at as usize] as u32;
            if purgeable > 0 {
                sum += purgeable;
                start = at;
            }
        }
        self.take(start..end, head);
        Some(start..end)
    }

    /// The free run that ends at `end`, if there is one.
    pub fn last(&self, end: u32) -> Range<u32> {
        end - self.len_before(end)..end
    }

    /// Takes the clean end of the free run that ends at `end`, if it is `min` long at least.
    pub fn take_clean_end(&mut self, end: u32, min: u32) -> Option<Range<u32>> {
        let run = self.last(end);
        let clean = self.purgeable_of(&run).rev().take_while(|&pages| pages == 0).count() as u32;
        if clean < min.max(1) {
            return None;
        }
        self.take(end - clean..end, run.start);
        Some(end - clean..end)
    }

    /// Dirty pages of granules that are in use.
    pub fn dirty_pages(&self, granules: Range<u32>) -> u32 {
        granules.map(|at| self.pages[at as usize] as u32).sum()
    }

    /// Raises the dirty pages of granules in use to at least `pages` each.
    pub fn mark_dirty(&mut self, granules: Range<u32>, pages: u8) {
        for at in granules {
            let most = &mut self.pages[at as usize];
            *most = pages.max(*most);
        }
    }

    /// Marks granules in use as reading zero.
    pub fn clean(&mut self, granules: Range<u32>) {
        for at in granules {
            self.pages[at as usize] = 0;
        }
    }

    /// The head of the free run that holds all of these granules.
    fn head_of(&self, granules: &Range<u32>) -> Option<u32> {
        let head = self.last_head(granules.start)?;
        (head + self.len_from(head) >= granules.end).then_some(head)
    }

    fn purgeable_of(&self, granules: &Range<u32>) -> impl DoubleEndedIterator<Item = u8> {
        part_or_end(&self.purgeable.0, granules.start as usize..granules.end as usize).iter().copied()
    }

    /// The length of the free run that starts at a granule, else 0.
    fn len_from(&self, at: u32) -> u32 {
        self.edges.0.get(at as usize).map_or(0, |&edge| edge.max(0) as u32)
    }

    /// The length of the free run that ends before a granule, else 0.
    fn len_before(&self, at: u32) -> u32 {
        match at.checked_sub(1).map(|last| self.edges[last as usize]) {
            Some(1) => 1,
            Some(edge) if edge < 0 => edge.unsigned_abs() as u32,
            // In use, or the first of several: those would be free too, and of the same run.
            _ => 0,
        }
    }

    /// Writes the edges of a free run, if there is anything of it.
    fn link(&mut self, run: Range<u32>) {
        let len = run.len() as i16;
        if len > 0 {
            self.edges[run.end as usize - 1] = -len;
            self.edges[run.start as usize] = len;
        }
    }

    /// Wipes the edges of what was a free run, if there is anything of it.
    fn unlink(&mut self, run: Range<u32>) {
        if !run.is_empty() {
            self.edges[run.end as usize - 1] = 0;
            self.edges[run.start as usize] = 0;
        }
    }

    /// Takes granules out of the run at `head`, which they are a part of.
    fn take(&mut self, taken: Range<u32>, head: u32) {
        let run = head..head + self.len_from(head);
        self.unlink(run.clone());
        self.link(run.start..taken.start);
        self.link(taken.end..run.end);
        for at in taken.clone() {
            let purgeable = core::mem::take(&mut self.purgeable[at as usize]);
            self.dirty -= purgeable as u32;
        }
        self.free -= taken.len() as u32;
        // What is left behind has its head right there.
        self.refresh(run.start, taken.start..(taken.end + 1).min(run.end));
    }

    /// Sums up anew what speaks of `head` and of `granules`, which are not before it.
    fn refresh(&mut self, head: u32, granules: Range<u32>) {
        let (first, last) = (granules.start as usize / FANOUT, (granules.end as usize - 1) / FANOUT);
        let head = head as usize / FANOUT;
        if head != first {
            self.sum_up_group(head);
            self.sum_up_super(head / FANOUT);
        }
        for group in first..=last {
            self.sum_up_group(group);
        }
        for above in first / FANOUT..=last / FANOUT {
            self.sum_up_super(above);
        }
    }

    fn sum_up_group(&mut self, group: usize) {
        let edges = chunk_or_end::<_, FANOUT>(&self.edges.0, group);
        let purgeable = chunk_or_end::<_, FANOUT>(&self.purgeable.0, group);
        let longest = edges.iter().fold(0, |longest, &edge| longest.max(edge));
        let dirty = purgeable.iter().fold(0, |any, &pages| any | pages);
        *at_or_end_mut(&mut self.groups.0, group) = Summary::new(longest as u16, dirty != 0);
    }

    fn sum_up_super(&mut self, above: usize) {
        let groups = chunk_or_end::<_, FANOUT>(&self.groups.0, above);
        self.supers[above] = Summary::of(groups);
    }

    /// The head of the lowest free run of at least `len` granules, which is not 0.
    fn lowest_fit(&self, len: u32) -> Option<u32> {
        let above = self.supers.0.iter().position(|of| of.has_run(len))?;
        let groups = chunk_or_end::<_, FANOUT>(&self.groups.0, above);
        let group = above * FANOUT + groups.iter().position(|of| of.has_run(len))?;
        members(group).find(|&at| self.len_from(at) >= len)
    }

    /// The highest granule with something to purge.
    fn highest_dirty(&self) -> Option<u32> {
        let above = self.supers.0.iter().rposition(|of| of.is_dirty())?;
        let groups = chunk_or_end::<_, FANOUT>(&self.groups.0, above);
        let group = above * FANOUT + groups.iter().rposition(|of| of.is_dirty())?;
        members(group).rev().find(|&at| self.purgeable[at as usize] > 0)
    }

    /// The head of the last free run that starts at `at` or below.
    fn last_head(&self, at: u32) -> Option<u32> {
        let is_head = |&at: &u32| self.len_from(at) > 0;
        let group = at as usize / FANOUT;
        let here = (members(group).start..at + 1).rev().find(is_head);
        here.or_else(|| {
            let before = self.groups.first(group).iter().rposition(|of| of.has_run(1))?;
            members(before).rev().find(is_head)
        })
    }
}

/// The granules of a group.
fn members(group: usize) -> Range<u32> {
    (group * FANOUT) as u32..((group + 1) * FANOUT) as u32
}

#[cfg(test)]
mod tests;
