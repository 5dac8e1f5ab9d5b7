//! What the arena's lock guards.

use super::runs::{Node, Runs};
use super::top::Top;
use crate::config::GRANULE_SHIFT;
use crate::units::{GranuleIdx, Granules};

/// Stretches that the arena was given; they are few because growth is contiguous.
pub const STRETCHES: usize = 64;

pub struct State {
    pub top: Top,
    pub runs: Runs,
    pub nodes: *mut Node,
    /// Granules described by writable tables, counted from the base.
    pub tables_end: u32,
    pub stretches: [(u32, u32); STRETCHES],
    pub stretch_count: usize,
    pub in_use: u32,
    pub peak: u32,
    /// Runs that are out of the tree while their pages go back.
    pub purging: u32,
    pub page: usize,
}

// SAFETY: the pointers lead to the arena's own memory, which State's lock guards.
unsafe impl Send for State {}

impl State {
    /// The nodes of every granule whose tables are writable.
    pub fn nodes(&self) -> &[Node] {
        // SAFETY: the nodes are this arena's, initialised (zero is a node), writable up to the end of the
        // tables (Invariant 3), and guarded by the lock that made this reference possible.
        unsafe { core::slice::from_raw_parts(self.nodes, self.tables_end as usize) }
    }

    pub fn parts(&mut self) -> (&mut [Node], &mut Runs) {
        // SAFETY: as in `nodes`; the borrow of self keeps it exclusive.
        let nodes = unsafe { core::slice::from_raw_parts_mut(self.nodes, self.tables_end as usize) };
        (nodes, &mut self.runs)
    }

    pub fn take(&mut self, len: Granules, align: Granules) -> Option<GranuleIdx> {
        // Alignment counts from address 0, indices from the base.
        let phase = (self.top.base().addr() >> GRANULE_SHIFT) % align.0 as usize;
        let (nodes, runs) = self.parts();
        runs.take_first(nodes, len, align, phase as u32)
    }

    pub fn note_stretch(&mut self, from: u32, to: u32) -> bool {
        if let Some(last) = self.stretch_count.checked_sub(1)
            && self.stretches[last].1 == from
        {
            self.stretches[last].1 = to;
            return true;
        }
        if self.stretch_count == STRETCHES {
            return false;
        }
        self.stretches[self.stretch_count] = (from, to);
        self.stretch_count += 1;
        true
    }

    /// Where the arena ends once everything from `start` on is given back: at `start`, or where the
    /// stretch before ends if it is the first granule of its own.
    pub fn end_below(&self, start: u32) -> Granules {
        let stretches = &self.stretches[..self.stretch_count];
        match stretches {
            [.., (_, before), (first, _)] if *first == start => Granules(*before),
            _ => Granules(start),
        }
    }

    /// The arena now ends at `end`.
    pub fn forget_above(&mut self, end: u32) {
        while let Some(last) = self.stretch_count.checked_sub(1) {
            let stretch = &mut self.stretches[last];
            stretch.1 = stretch.1.min(end);
            if stretch.0 < stretch.1 {
                return;
            }
            *stretch = (0, 0);
            self.stretch_count = last;
        }
    }
}
