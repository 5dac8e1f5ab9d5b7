//! Huge pages under the runs: which of them are whole, and what that makes purgeable or pinned. See
//! invariant 4 of the runs.

use super::Runs;
use super::nodes::{NIL, Nodes};
use super::treap::update;
use core::ops::Range;

/// Granules of a huge page, and its pages. Only 4 KiB pages have huge ones of this size.
pub const UNIT: u32 = 32;
pub(super) const UNIT_PAGES: u16 = 512;

impl Runs {
    /// Gives up the huge pages that are free in part: their free granules may be purged one by one.
    pub fn break_units(&mut self, nodes: &mut Nodes) {
        self.break_below(nodes, self.root);
    }

    fn break_below(&mut self, nodes: &mut Nodes, at: u32) {
        if at == NIL {
            return;
        }
        let node = nodes[at];
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
                let node = &mut nodes[one];
                let freed = node.pinned();
                node.purgeable += freed as u16;
                self.pinned -= freed;
                self.dirty += freed;
                nodes[at].run_dirty += freed;
            }
        }
        update(nodes, at);
    }

    /// The start of the huge page that a granule is of, if it is of one.
    pub(super) fn unit_of(&self, granule: u32) -> Option<u32> {
        (granule >= self.units_from).then(|| granule - (granule - self.units_from) % UNIT)
    }

    /// The same, if all of the huge page lies in `head..end`.
    pub(super) fn unit_within(&self, granule: u32, head: u32, end: u32) -> Option<u32> {
        self.unit_of(granule).filter(|&unit| unit >= head && unit + UNIT <= end)
    }

    /// Counts granules in that have joined the free run `run`. By how many pages more, and fewer, the run
    /// is purgeable now.
    pub(super) fn count_in(&mut self, nodes: &mut Nodes, joined: Range<u32>, run: Range<u32>) -> (u32, u32) {
        let (mut more, mut fewer) = (0, 0);
        let mut at = joined.start;
        while at < joined.end {
            let Some(unit) = self.unit_of(at) else {
                let node = &mut nodes[at];
                node.purgeable = node.dirty;
                more += node.dirty as u32;
                at += 1;
                continue;
            };
            let part = at..joined.end.min(unit + UNIT);
            at = part.end;
            if self.unit_within(unit, run.start, run.end).is_none() {
                for one in part {
                    let node = &mut nodes[one];
                    node.purgeable = 0;
                    self.pinned += node.dirty as u32;
                }
                continue;
            }
            // All of it is free now: what counted on its own before counts as one.
            let mut soiled = false;
            for one in unit..unit + UNIT {
                let node = &mut nodes[one];
                soiled |= node.dirty > 0;
                if !part.contains(&one) {
                    fewer += node.purgeable as u32;
                    self.pinned -= node.pinned();
                }
                node.purgeable = 0;
            }
            if soiled {
                nodes[part.end - 1].purgeable = UNIT_PAGES;
                more += UNIT_PAGES as u32;
            }
        }
        (more, fewer)
    }

    /// Before `taken` leaves the free run `run`: huge pages that stay in it in part count no more as whole.
    /// By how many pages the run is less purgeable, what is in `taken` left aside.
    pub(super) fn count_out(&mut self, nodes: &mut Nodes, taken: Range<u32>, run: Range<u32>) -> u32 {
        let mut fewer = 0;
        let mut at = taken.start.max(self.units_from);
        while at < taken.end {
            let Some(unit) = self.unit_of(at) else { break };
            let part = at..taken.end.min(unit + UNIT);
            at = part.end;
            if self.unit_within(unit, run.start, run.end).is_none() {
                self.pinned -= part.map(|one| nodes[one].pinned()).sum::<u32>();
                continue;
            }
            for one in (unit..unit + UNIT).filter(|one| !part.contains(one)) {
                let node = &mut nodes[one];
                fewer += node.purgeable as u32;
                node.purgeable = 0;
                self.pinned += node.dirty as u32;
            }
        }
        fewer
    }
}
