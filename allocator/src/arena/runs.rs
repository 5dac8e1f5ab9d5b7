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
//! Invariants:
//! 1. No two free runs touch: `insert` joins them.
//! 2. A granule's `dirty` is an upper bound of its pages that may hold anything but zeros; it is kept
//!    while the granule is in use.
//! 3. `tail_of` of a free run's last granule names its head; in used granules `len` and `tail_of` are 0.

use crate::units::{GranuleIdx, Granules};

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
}

pub struct Runs {
    root: u32,
    free: u32,
    dirty: u32,
}

/// The order of the heap: a hash, so that no pattern of addresses makes the tree deep.
fn priority(node: u32) -> u32 {
    let x = (node ^ (node >> 15)).wrapping_mul(0x2c1b_3c6d);
    (x ^ (x >> 12)).wrapping_mul(0x297a_2d39)
}

impl Runs {
    pub const fn new() -> Self {
        Runs { root: NIL, free: 0, dirty: 0 }
    }

    /// Free granules in all.
    pub fn free(&self) -> Granules {
        Granules(self.free)
    }

    /// Dirty pages in free runs.
    pub fn dirty(&self) -> u32 {
        self.dirty
    }

    /// Adds a run; where it touches another, they become one. The granules keep their `dirty`.
    pub fn insert(&mut self, nodes: &mut [Node], head: GranuleIdx, len: Granules) {
        let (mut head, mut len) = (head.0, len.0);
        self.free += len;
        let added: u32 =
            nodes[head as usize..(head + len) as usize].iter().map(|node| node.dirty as u32).sum();
        self.dirty += added;
        let mut run_dirty = added;
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
    /// all; not what is clean above it.
    pub fn take_dirty(&mut self, nodes: &mut [Node], pages: u32) -> Option<(GranuleIdx, Granules)> {
        let head = self.highest_dirty(nodes)?;
        let mut end = head + nodes[head as usize].len;
        while nodes[end as usize - 1].dirty == 0 {
            end -= 1;
        }
        let mut start = end;
        let mut sum = 0;
        while start > head && sum < pages {
            start -= 1;
            sum += nodes[start as usize].dirty as u32;
        }
        let (start, len) = (GranuleIdx(start), Granules(end - start));
        self.take(nodes, start, len, head);
        Some((start, len))
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
        let clean = (0..len.0).take_while(|&k| nodes[(end - 1 - k) as usize].dirty == 0).count() as u32;
        if clean < min.0.max(1) {
            return None;
        }
        let (start, len) = (GranuleIdx(end - clean), Granules(clean));
        self.take(nodes, start, len, head.0);
        Some((start, len))
    }

    fn take(&mut self, nodes: &mut [Node], start: GranuleIdx, len: Granules, head: u32) {
        let run_len = nodes[head as usize].len;
        let run_dirty = self.unlink(nodes, head);
        let (start, end) = (start.0, start.0 + len.0);
        let run_end = head + run_len;
        let sum = |nodes: &[Node], from: u32, to: u32| -> u32 {
            nodes[from as usize..to as usize].iter().map(|node| node.dirty as u32).sum()
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
        self.dirty -= taken;
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
        node.dirty = 0;
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
