//! The table of granules: what the arena knows of each, free or not.

use crate::row::{at_or_end, at_or_end_mut, part_or_end, part_or_end_mut};
use crate::units::{GranuleIdx, Granules};
use core::ops::{Index, IndexMut, Range};

/// No node: the end of a link.
pub(super) const NIL: u32 = u32::MAX;

/// What the arena knows of one granule.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Node {
    pub(super) left: u32,
    pub(super) right: u32,
    /// Granules of the free run whose head this is, else 0.
    pub(super) len: u32,
    /// Index of the head, plus one, of the free run whose last granule this is, else 0.
    pub(super) tail_of: u32,
    /// The longest `len` in the subtree.
    pub(super) longest: u32,
    /// Dirty pages of the run whose head this is.
    pub(super) run_dirty: u32,
    /// The largest `run_dirty` in the subtree.
    pub(super) dirtiest: u32,
    /// Dirty pages of this granule.
    pub(super) dirty: u16,
    /// Pages that a purge of this free granule is to bring; see invariant 4.
    pub(super) purgeable: u16,
}

impl Node {
    /// Pages of this granule that are pinned, if it is free beside a used one of its huge page.
    pub(super) fn pinned(&self) -> u32 {
        if self.purgeable == 0 { self.dirty as u32 } else { 0 }
    }
}

/// The nodes of all granules that the tables describe. An index beyond them ends the program without
/// unwinding, which the allocator must not do.
#[repr(transparent)]
pub struct Nodes([Node]);

impl Nodes {
    pub fn new(nodes: &mut [Node]) -> &mut Nodes {
        // SAFETY: a transparent wrapper of the same slice.
        unsafe { &mut *(core::ptr::from_mut(nodes) as *mut Nodes) }
    }

    pub fn len(&self) -> u32 {
        self.0.len() as u32
    }

    pub fn get(&self, at: u32) -> Option<&Node> {
        self.0.get(at as usize)
    }

    pub fn range(&self, range: Range<u32>) -> &[Node] {
        part_or_end(&self.0, range.start as usize..range.end as usize)
    }

    pub fn range_mut(&mut self, range: Range<u32>) -> &mut [Node] {
        part_or_end_mut(&mut self.0, range.start as usize..range.end as usize)
    }
}

impl Index<u32> for Nodes {
    type Output = Node;

    #[inline]
    fn index(&self, at: u32) -> &Node {
        at_or_end(&self.0, at as usize)
    }
}

impl IndexMut<u32> for Nodes {
    #[inline]
    fn index_mut(&mut self, at: u32) -> &mut Node {
        at_or_end_mut(&mut self.0, at as usize)
    }
}

/// The dirty pages of a run of granules, while it is not in the tree.
pub fn dirty_pages(nodes: &Nodes, head: GranuleIdx, len: Granules) -> u32 {
    nodes.range(head.0..head.0 + len.0).iter().map(|node| node.dirty as u32).sum()
}

/// Raises the dirty pages of each granule of a run to at least `pages`.
pub fn soil(nodes: &mut Nodes, head: GranuleIdx, len: Granules, pages: u16) {
    for node in nodes.range_mut(head.0..head.0 + len.0) {
        node.dirty = node.dirty.max(pages);
    }
}

/// Takes the granules for used ones, whatever runs they were in: rebuilding follows.
pub fn forget(nodes: &mut Nodes, from: u32, to: u32) {
    for node in nodes.range_mut(from..to) {
        (node.len, node.tail_of) = (0, 0);
    }
}

/// Marks a run's granules as reading zero.
pub fn clean(nodes: &mut Nodes, head: GranuleIdx, len: Granules) {
    for node in nodes.range_mut(head.0..head.0 + len.0) {
        (node.dirty, node.purgeable) = (0, 0);
    }
}
