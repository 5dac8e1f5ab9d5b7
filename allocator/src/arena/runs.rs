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

use crate::units::{GranuleIdx, Granules};
use core::ops::Range;

/// No node: the end of a link.
const NIL: u32 = u32::MAX;

/// What the arena knows of one granule.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Node {
    left: u32,
    right: u32,
    /// Granules of the free run whose head this is, else 0.
    len: u32,
    /// Index of the head, plus one, of the free run whose last granule this is, else 0.
    tail_of: u32,
    /// The longest `len` in the subtree.
    longest: u32,
    /// Dirty pages of the run whose head this is.
    run_dirty: u32,
    /// The largest `run_dirty` in the subtree.
    dirtiest: u32,
    /// Dirty pages of this granule.
    dirty: u16,
    /// Pages that a purge of this free granule is to bring; see invariant 4.
    purgeable: u16,
}

impl Node {
    /// Pages of this granule that are pinned, if it is free beside a used one of its huge page.
    fn pinned(&self) -> u32 {
        if self.purgeable == 0 { self.dirty as u32 } else { 0 }
    }
}

/// Granules of a huge page, and its pages. Only 4 KiB pages have huge ones of this size.
pub const UNIT: u32 = 32;
const UNIT_PAGES: u16 = 512;

pub struct Runs {
    root: u32,
    free: u32,
    dirty: u32,
    pinned: u32,
    /// The first granule that stands on huge pages: the start of one.
    units_from: u32,
}

/// The order of the heap: a hash, so that no pattern of addresses makes the tree deep.
fn priority(node: u32) -> u32 {
    let x = (node ^ (node >> 15)).wrapping_mul(0x2c1b_3c6d);
    (x ^ (x >> 12)).wrapping_mul(0x297a_2d39)
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

    /// Adds a run; where it touches another, they become one. The granules keep their `dirty`.
    pub fn insert(&mut self, nodes: &mut [Node], head: GranuleIdx, len: Granules) {
        let (start, end) = (head.0, head.0 + len.0);
        let (mut head, mut len) = (head.0, len.0);
        self.free += len;
        let mut run_dirty = 0;
        if head > 0 && nodes[head as usize - 1].tail_of != 0 {
            let before = nodes[head as usize - 1].tail_of - 1;
            run_dirty += self.unlink(nodes, before);
            len += head - before;
            head = before;
        }
        let behind = head + len;
        if (behind as usize) < nodes.len() && nodes[behind as usize].len != 0 {
            let more = nodes[behind as usize].len;
            run_dirty += self.unlink(nodes, behind);
            len += more;
        }
        self.dirty -= run_dirty;
        let (more, fewer) = self.count_in(nodes, start..end, head..head + len);
        let run_dirty = run_dirty + more - fewer;
        self.dirty += run_dirty;
        self.link(nodes, head, len, run_dirty);
    }

    /// Takes `len` granules at the lowest address where they fit and where index plus `phase` is a
    /// multiple of `align`.
    pub fn take_first(
        &mut self,
        nodes: &mut [Node],
        len: Granules,
        align: Granules,
        phase: u32,
    ) -> Option<GranuleIdx> {
        // A run this long holds an aligned part wherever it starts.
        let fit = len.0.checked_add(align.0 - 1)?;
        let head = self.lowest_fit(nodes, fit)?;
        let start = (head + phase).next_multiple_of(align.0) - phase;
        self.take(nodes, GranuleIdx(start), len, head);
        Some(GranuleIdx(start))
    }

    /// Takes exactly these granules, if all of them are in one free run that starts with the first.
    pub fn take_at(&mut self, nodes: &mut [Node], head: GranuleIdx, len: Granules) -> bool {
        match nodes.get(head.0 as usize) {
            Some(node) if node.len >= len.0 => {
                self.take(nodes, head, len, head.0);
                true
            }
            _ => false,
        }
    }

    /// Takes the upper dirty part of the highest dirty run: as much of it as holds `pages` dirty pages, or
    /// all; not what is clean above it. Huge pages are taken whole.
    pub fn take_dirty(&mut self, nodes: &mut [Node], pages: u32) -> Option<(GranuleIdx, Granules)> {
        let head = self.highest_dirty(nodes)?;
        let run_end = head + nodes[head as usize].len;
        let mut at = run_end;
        while nodes[at as usize - 1].purgeable == 0 {
            at -= 1;
        }
        let end = self.unit_within(at - 1, head, run_end).map_or(at, |unit| unit + UNIT);
        let (mut start, mut sum) = (at, 0);
        while at > head && sum < pages {
            at -= 1;
            if nodes[at as usize].purgeable > 0 {
                sum += nodes[at as usize].purgeable as u32;
                start = self.unit_within(at, head, run_end).unwrap_or(at);
            }
        }
        let (start, len) = (GranuleIdx(start), Granules(end - start));
        self.take(nodes, start, len, head);
        Some((start, len))
    }

    /// Gives up the huge pages that are free in part: their free granules may be purged one by one.
    pub fn break_units(&mut self, nodes: &mut [Node]) {
        self.break_below(nodes, self.root);
    }

    fn break_below(&mut self, nodes: &mut [Node], at: u32) {
        if at == NIL {
            return;
        }
        let node = nodes[at as usize];
        self.break_below(nodes, node.left);
        self.break_below(nodes, node.right);
        let end = at + node.len;
        // Only the first and the last unit of a run can be free in part.
        for edge in [at, end - 1] {
            let Some(unit) = self.unit_of(edge) else { continue };
            if self.unit_within(edge, at, end).is_some() {
                continue;
            }
            for one in unit.max(at)..(unit + UNIT).min(end) {
                let node = &mut nodes[one as usize];
                let freed = node.pinned();
                node.purgeable += freed as u16;
                self.pinned -= freed;
                self.dirty += freed;
                nodes[at as usize].run_dirty += freed;
            }
        }
        update(nodes, at);
    }

    /// The free run that ends at `end`.
    pub fn last(&self, nodes: &[Node], end: u32) -> Option<(GranuleIdx, Granules)> {
        let tail = nodes.get(end.checked_sub(1)? as usize)?.tail_of.checked_sub(1)?;
        Some((GranuleIdx(tail), Granules(nodes[tail as usize].len)))
    }

    /// Takes the clean end of the free run that ends at `end`, if it is `min` long at least.
    pub fn take_clean_end(
        &mut self,
        nodes: &mut [Node],
        end: u32,
        min: Granules,
    ) -> Option<(GranuleIdx, Granules)> {
        let (head, len) = self.last(nodes, end)?;
        let mut clean = (0..len.0).take_while(|&k| nodes[(end - 1 - k) as usize].dirty == 0).count() as u32;
        // A huge page is not cut.
        if let Some(unit) = self.unit_of(end - clean)
            && unit < end - clean
        {
            clean = clean.saturating_sub(unit + UNIT - (end - clean));
        }
        if clean < min.0.max(1) {
            return None;
        }
        let (start, len) = (GranuleIdx(end - clean), Granules(clean));
        self.take(nodes, start, len, head.0);
        Some((start, len))
    }

    fn take(&mut self, nodes: &mut [Node], start: GranuleIdx, len: Granules, head: u32) {
        let run_len = nodes[head as usize].len;
        let mut run_dirty = self.unlink(nodes, head);
        let (start, end) = (start.0, start.0 + len.0);
        let run_end = head + run_len;
        self.dirty -= run_dirty;
        run_dirty -= self.count_out(nodes, start..end, head..run_end);
        let sum = |nodes: &[Node], from: u32, to: u32| -> u32 {
            nodes[from as usize..to as usize].iter().map(|node| node.purgeable as u32).sum()
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

    /// The start of the huge page that a granule is of, if it is of one.
    fn unit_of(&self, granule: u32) -> Option<u32> {
        (granule >= self.units_from).then(|| granule - (granule - self.units_from) % UNIT)
    }

    /// The same, if all of the huge page lies in `head..end`.
    fn unit_within(&self, granule: u32, head: u32, end: u32) -> Option<u32> {
        self.unit_of(granule).filter(|&unit| unit >= head && unit + UNIT <= end)
    }

    /// Counts granules in that have joined the free run `run`. By how many pages more, and fewer, the run
    /// is purgeable now.
    fn count_in(&mut self, nodes: &mut [Node], joined: Range<u32>, run: Range<u32>) -> (u32, u32) {
        let (mut more, mut fewer) = (0, 0);
        let mut at = joined.start;
        while at < joined.end {
            let Some(unit) = self.unit_of(at) else {
                let node = &mut nodes[at as usize];
                node.purgeable = node.dirty;
                more += node.dirty as u32;
                at += 1;
                continue;
            };
            let part = at..joined.end.min(unit + UNIT);
            at = part.end;
            if self.unit_within(unit, run.start, run.end).is_none() {
                for one in part {
                    let node = &mut nodes[one as usize];
                    node.purgeable = 0;
                    self.pinned += node.dirty as u32;
                }
                continue;
            }
            // All of it is free now: what counted on its own before counts as one.
            let mut soiled = false;
            for one in unit..unit + UNIT {
                let node = &mut nodes[one as usize];
                soiled |= node.dirty > 0;
                if !part.contains(&one) {
                    fewer += node.purgeable as u32;
                    self.pinned -= node.pinned();
                }
                node.purgeable = 0;
            }
            if soiled {
                nodes[part.end as usize - 1].purgeable = UNIT_PAGES;
                more += UNIT_PAGES as u32;
            }
        }
        (more, fewer)
    }

    /// Before `taken` leaves the free run `run`: huge pages that stay in it in part count no more as whole.
    /// By how many pages the run is less purgeable, what is in `taken` left aside.
    fn count_out(&mut self, nodes: &mut [Node], taken: Range<u32>, run: Range<u32>) -> u32 {
        let mut fewer = 0;
        let mut at = taken.start.max(self.units_from);
        while at < taken.end {
            let Some(unit) = self.unit_of(at) else { break };
            let part = at..taken.end.min(unit + UNIT);
            at = part.end;
            if self.unit_within(unit, run.start, run.end).is_none() {
                self.pinned -= part.map(|one| nodes[one as usize].pinned()).sum::<u32>();
                continue;
            }
            for one in (unit..unit + UNIT).filter(|one| !part.contains(one)) {
                let node = &mut nodes[one as usize];
                fewer += node.purgeable as u32;
                node.purgeable = 0;
                self.pinned += node.dirty as u32;
            }
        }
        fewer
    }

    fn link(&mut self, nodes: &mut [Node], head: u32, len: u32, run_dirty: u32) {
        let node = &mut nodes[head as usize];
        node.len = len;
        node.run_dirty = run_dirty;
        (node.left, node.right) = (NIL, NIL);
        (node.longest, node.dirtiest) = (len, run_dirty);
        nodes[(head + len - 1) as usize].tail_of = head + 1;
        let (below, above) = split(nodes, self.root, head);
        let lower = merge(nodes, below, head);
        self.root = merge(nodes, lower, above);
    }

    /// Takes the run at `head` out of the tree; its dirty pages.
    fn unlink(&mut self, nodes: &mut [Node], head: u32) -> u32 {
        self.root = remove(nodes, self.root, head);
        let node = &mut nodes[head as usize];
        let (len, run_dirty) = (node.len, node.run_dirty);
        node.len = 0;
        nodes[(head + len - 1) as usize].tail_of = 0;
        run_dirty
    }

    fn lowest_fit(&self, nodes: &[Node], len: u32) -> Option<u32> {
        let mut at = self.root;
        if at == NIL || nodes[at as usize].longest < len {
            return None;
        }
        loop {
            let node = &nodes[at as usize];
            if node.left != NIL && nodes[node.left as usize].longest >= len {
                at = node.left;
            } else if node.len >= len {
                return Some(at);
            } else {
                at = node.right;
            }
        }
    }

    fn highest_dirty(&self, nodes: &[Node]) -> Option<u32> {
        let mut at = self.root;
        if at == NIL || nodes[at as usize].dirtiest == 0 {
            return None;
        }
        loop {
            let node = &nodes[at as usize];
            if node.right != NIL && nodes[node.right as usize].dirtiest > 0 {
                at = node.right;
            } else if node.run_dirty > 0 {
                return Some(at);
            } else {
                at = node.left;
            }
        }
    }
}

/// The dirty pages of a run of granules, while it is not in the tree.
pub fn dirty_pages(nodes: &[Node], head: GranuleIdx, len: Granules) -> u32 {
    nodes[head.0 as usize..(head.0 + len.0) as usize].iter().map(|node| node.dirty as u32).sum()
}

/// Raises the dirty pages of each granule of a run to at least `pages`.
pub fn soil(nodes: &mut [Node], head: GranuleIdx, len: Granules, pages: u16) {
    for node in &mut nodes[head.0 as usize..(head.0 + len.0) as usize] {
        node.dirty = node.dirty.max(pages);
    }
}

/// Takes the granules for used ones, whatever runs they were in: rebuilding follows.
pub fn forget(nodes: &mut [Node]) {
    for node in nodes {
        (node.len, node.tail_of) = (0, 0);
    }
}

/// Marks a run's granules as reading zero.
pub fn clean(nodes: &mut [Node], head: GranuleIdx, len: Granules) {
    for node in &mut nodes[head.0 as usize..(head.0 + len.0) as usize] {
        (node.dirty, node.purgeable) = (0, 0);
    }
}

fn update(nodes: &mut [Node], at: u32) {
    let node = nodes[at as usize];
    let (mut longest, mut dirtiest) = (node.len, node.run_dirty);
    for child in [node.left, node.right] {
        if child != NIL {
            longest = longest.max(nodes[child as usize].longest);
            dirtiest = dirtiest.max(nodes[child as usize].dirtiest);
        }
    }
    let node = &mut nodes[at as usize];
    (node.longest, node.dirtiest) = (longest, dirtiest);
}

/// Splits the tree at `key`: the nodes below it, the nodes above it.
fn split(nodes: &mut [Node], at: u32, key: u32) -> (u32, u32) {
    if at == NIL {
        return (NIL, NIL);
    }
    if at < key {
        let (low, high) = split(nodes, nodes[at as usize].right, key);
        nodes[at as usize].right = low;
        update(nodes, at);
        (at, high)
    } else {
        let (low, high) = split(nodes, nodes[at as usize].left, key);
        nodes[at as usize].left = high;
        update(nodes, at);
        (low, at)
    }
}

/// Joins two trees, all of the first below all of the second.
fn merge(nodes: &mut [Node], low: u32, high: u32) -> u32 {
    if low == NIL || high == NIL {
        return if low == NIL { high } else { low };
    }
    if priority(low) > priority(high) {
        nodes[low as usize].right = merge(nodes, nodes[low as usize].right, high);
        update(nodes, low);
        low
    } else {
        nodes[high as usize].left = merge(nodes, low, nodes[high as usize].left);
        update(nodes, high);
        high
    }
}

/// Removes `key`, which is in the tree.
fn remove(nodes: &mut [Node], at: u32, key: u32) -> u32 {
    debug_assert!(at != NIL);
    let node = nodes[at as usize];
    if at == key {
        return merge(nodes, node.left, node.right);
    }
    if key < at {
        nodes[at as usize].left = remove(nodes, node.left, key);
    } else {
        nodes[at as usize].right = remove(nodes, node.right, key);
    }
    update(nodes, at);
    at
}

#[cfg(test)]
mod tests;
