//! Free runs of granules: first fit at the lowest address, in time logarithmic in their number.
//!
//! ```text
//!   granules   │used│ free run, 3 │used│used│ free, 1 │…     one node per granule, out of line
//!   nodes            head     tail              head=tail
//!                    len 3    → head            len 1
//! ```
//!
//! The heads of the free runs form a treap: ordered by address, heap-ordered by a hash of the
//! address, and each node knows the longest run and the dirtiest run below it. Neighbours are found
//! through the nodes beside a run, so freed runs join at once.
//!
//! From `units_from` on the arena stands on huge pages, which are only worth purging whole: there a unit
//! of 32 granules counts as purgeable when all of it is free (as 512 pages, at one of its granules, since
//! a huge page is resident as one), and what is free beside something in use is *pinned*.
//!
//! Invariants:
//! 1. No two free runs touch: `insert` joins them.
//! 2. A granule's `dirty` is an upper bound of its pages that may hold anything but zeros; it is kept
//!    while the granule is in use.
//! 3. `tail_of` of a free run's last granule names its head; in used granules `len` and `tail_of` are 0.
//! 4. `run_dirty` is the sum of a run's `purgeable`. Below the units that is each granule's `dirty`; of
//!    a whole unit one granule has 512 if any is dirty; elsewhere it is 0, or `dirty` once
//!    `break_units` gave the huge page up, and `pinned` counts the `dirty` of those that have 0.

mod nodes;
mod treap;
mod units;

use crate::units::{GranuleIdx, Granules};
use core::ops::Range;
use nodes::NIL;
pub use nodes::{Node, Nodes, clean, dirty_pages, forget, soil};
use treap::{highest_dirty, lowest_fit, merge, remove, split};

pub struct Runs {
    root: u32,
    free: u32,
    dirty: u32,
    pinned: u32,
    /// The first granule that stands on huge pages: the start of one.
    units_from: u32,
}

impl Runs {
    pub const fn new() -> Self {
        Runs { root: NIL, free: 0, dirty: 0, pinned: 0, units_from: NIL }
    }

    /// Forgets all runs, of which nothing is left in the nodes.
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
    /// `dirty`.
    pub fn insert(&mut self, nodes: &mut Nodes, head: GranuleIdx, len: Granules) -> Range<u32> {
        let (start, end) = (head.0, head.0 + len.0);
        let (mut head, mut len) = (head.0, len.0);
        self.free += len;
        let mut run_dirty = 0;
        if head > 0 && nodes[head - 1].tail_of != 0 {
            let before = nodes[head - 1].tail_of - 1;
            run_dirty += self.unlink(nodes, before);
            len += head - before;
            head = before;
        }
        let behind = head + len;
        if behind < nodes.len() && nodes[behind].len != 0 {
            let more = nodes[behind].len;
            run_dirty += self.unlink(nodes, behind);
            len += more;
        }
        self.dirty -= run_dirty;
        let (more, fewer) = self.count_in(nodes, start..end, head..head + len);
        let run_dirty = run_dirty + more - fewer;
        self.dirty += run_dirty;
        self.link(nodes, head, len, run_dirty);
        head..head + len
    }

    /// Takes `len` granules at the lowest address where they fit and where index plus `phase` is a
    /// multiple of `align`.
    pub fn take_first(
        &mut self,
        nodes: &mut Nodes,
        len: Granules,
        align: Granules,
        phase: u32,
    ) -> Option<GranuleIdx> {
        // A run this long holds an aligned part wherever it starts.
        let fit = len.0.checked_add(align.0 - 1)?;
        let head = lowest_fit(nodes, self.root, fit)?;
        let start = ((head + phase + align.0 - 1) & !(align.0 - 1)) - phase;
        self.take(nodes, GranuleIdx(start), len, head);
        Some(GranuleIdx(start))
    }

    /// Takes exactly these granules, if all of them are in one free run that starts with the first.
    pub fn take_at(&mut self, nodes: &mut Nodes, head: GranuleIdx, len: Granules) -> bool {
        match nodes.get(head.0) {
            Some(node) if node.len >= len.0 => {
                self.take(nodes, head, len, head.0);
                true
            }
            _ => false,
        }
    }

    /// Takes the upper dirty part of the highest dirty run: as much of it as holds `pages` dirty pages, or
    /// all; not what is clean above it. Huge pages are taken whole.
    pub fn take_dirty(&mut self, nodes: &mut Nodes, pages: u32) -> Option<(GranuleIdx, Granules)> {
        let head = highest_dirty(nodes, self.root)?;
        let run_end = head + nodes[head].len;
        let mut at = run_end;
        while nodes[at - 1].purgeable == 0 {
            at -= 1;
        }
        let end = self.unit_within(at - 1, head, run_end).map_or(at, |unit| unit + units::UNIT);
        let (mut start, mut sum) = (at, 0);
        while at > head && sum < pages {
            at -= 1;
            if nodes[at].purgeable > 0 {
                sum += nodes[at].purgeable as u32;
                start = self.unit_within(at, head, run_end).unwrap_or(at);
            }
        }
        let (start, len) = (GranuleIdx(start), Granules(end - start));
        self.take(nodes, start, len, head);
        Some((start, len))
    }

    /// The free run that ends at `end`.
    pub fn last(&self, nodes: &Nodes, end: u32) -> Option<(GranuleIdx, Granules)> {
        let tail = nodes.get(end.checked_sub(1)?)?.tail_of.checked_sub(1)?;
        Some((GranuleIdx(tail), Granules(nodes[tail].len)))
    }

    /// Takes the clean end of the free run that ends at `end`, if it is `min` long at least.
    pub fn take_clean_end(
        &mut self,
        nodes: &mut Nodes,
        end: u32,
        min: Granules,
    ) -> Option<(GranuleIdx, Granules)> {
        let (head, len) = self.last(nodes, end)?;
        let mut clean = (0..len.0).take_while(|&k| nodes[end - 1 - k].dirty == 0).count() as u32;
        // A huge page is not cut.
        if let Some(unit) = self.unit_of(end - clean)
            && unit < end - clean
        {
            clean = clean.saturating_sub(unit + units::UNIT - (end - clean));
        }
        if clean < min.0.max(1) {
            return None;
        }
        let (start, len) = (GranuleIdx(end - clean), Granules(clean));
        self.take(nodes, start, len, head.0);
        Some((start, len))
    }

    fn take(&mut self, nodes: &mut Nodes, start: GranuleIdx, len: Granules, head: u32) {
        let run_len = nodes[head].len;
        let mut run_dirty = self.unlink(nodes, head);
        let (start, end) = (start.0, start.0 + len.0);
        let run_end = head + run_len;
        self.dirty -= run_dirty;
        run_dirty -= self.count_out(nodes, start..end, head..run_end);
        let sum = |nodes: &Nodes, from: u32, to: u32| -> u32 {
            nodes.range(from..to).iter().map(|node| node.purgeable as u32).sum()
        };
        let taken = sum(nodes, start, end);
        // Both sides may be long: the shorter one is summed, the other gets the rest.
        let (before, behind) = if start - head <= run_end - end {
            let before = sum(nodes, head, start);
            (before, run_dirty - taken - before)
        } else {
            let behind = sum(nodes, end, run_end);
            (run_dirty - taken - behind, behind)
        };
        if start > head {
            self.link(nodes, head, start - head, before);
        }
        if run_end > end {
            self.link(nodes, end, run_end - end, behind);
        }
        self.free -= len.0;
        self.dirty += run_dirty - taken;
    }

    fn link(&mut self, nodes: &mut Nodes, head: u32, len: u32, run_dirty: u32) {
        let node = &mut nodes[head];
        node.len = len;
        node.run_dirty = run_dirty;
        (node.left, node.right) = (NIL, NIL);
        (node.longest, node.dirtiest) = (len, run_dirty);
        nodes[head + len - 1].tail_of = head + 1;
        let (below, above) = split(nodes, self.root, head);
        let lower = merge(nodes, below, head);
        self.root = merge(nodes, lower, above);
    }

    /// Takes the run at `head` out of the tree; its dirty pages.
    fn unlink(&mut self, nodes: &mut Nodes, head: u32) -> u32 {
        self.root = remove(nodes, self.root, head);
        let node = &mut nodes[head];
        let (len, run_dirty) = (node.len, node.run_dirty);
        node.len = 0;
        nodes[head + len - 1].tail_of = 0;
        run_dirty
    }
}

#[cfg(test)]
mod tests;
