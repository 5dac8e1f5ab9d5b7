//! What the arena's lock guards.

use super::runs::{CHUNK, Chunk, Chunks, Runs};
use super::top::Top;
use crate::config::GRANULE_SHIFT;
use crate::row::Row;
use crate::units::{GranuleIdx, Granules};
use core::ops::Range;

/// Stretches that the arena was given; they are few because growth is contiguous.
pub const STRETCHES: usize = 64;

/// Granules of a hole that may be described as one: their entries are written.
const HOLE_MAX: u32 = 1 << 14;

/// Frees above the bound for which a purge is left out at most.
const PURGE_PAUSE_MAX: u32 = 256;

pub struct State {
    pub top: Top,
    pub runs: Runs,
    pub chunks: *mut Chunk,
    /// Granules described by writable tables, counted from the base.
    pub tables_end: u32,
    /// Granules whose tables may have pages: where the arena's end was highest since they went back.
    pub tables_used: u32,
    pub stretches: Row<(u32, u32), STRETCHES>,
    pub stretch_count: usize,
    pub in_use: u32,
    pub peak: u32,
    /// Runs that are taken out while their pages go back.
    pub purging: u32,
    /// How often the next purge is still left out, and how often it was this time.
    pub purge_skips: u32,
    pub purge_pause: u32,
    pub page: usize,
}

// SAFETY: the pointers lead to the arena's own memory, which State's lock guards.
unsafe impl Send for State {}

impl State {
    /// The chunks of every granule whose tables are writable.
    pub fn chunks(&mut self) -> &mut Chunks {
        self.parts().0
    }

    pub fn parts(&mut self) -> (&mut Chunks, &mut Runs) {
        let len = (self.tables_end as usize).div_ceil(CHUNK);
        // SAFETY: the chunks are this arena's, initialised (zero is a chunk), writable up to the end of the
        // tables (Invariant 3), and guarded by the lock that made this reference possible, which is
        // exclusive.
        let chunks = unsafe { core::slice::from_raw_parts_mut(self.chunks, len) };
        (Chunks::new(chunks), &mut self.runs)
    }

    pub fn take(&mut self, len: Granules, align: Granules) -> Option<GranuleIdx> {
        // Alignment counts from address 0, indices from the base.
        let phase = (self.top.base().addr() >> GRANULE_SHIFT) & (align.0 as usize - 1);
        let (chunks, runs) = self.parts();
        runs.take_first(chunks, len, align, phase as u32)
    }

    /// The hole below `from` that must become a part of the last stretch, because there is no place for
    /// one more: empty where there is place, None where it is too large to be described.
    pub fn hole_to_fill(&self, from: u32) -> Option<Range<u32>> {
        match self.stretches.0 {
            [.., (_, to)] if self.stretch_count == STRETCHES => (from - to <= HOLE_MAX).then_some(to..from),
            _ => Some(from..from),
        }
    }

    /// Notes granules that were gained; the hole below them was filled where it had to be.
    pub fn note_stretch(&mut self, from: u32, to: u32) {
        match self.stretch_count.checked_sub(1) {
            Some(last) if self.stretches[last].1 == from || self.stretch_count == STRETCHES => {
                self.stretches[last].1 = to;
            }
            _ => {
                self.stretches[self.stretch_count] = (from, to);
                self.stretch_count += 1;
            }
        }
    }

    /// Whether a purge is worth a try: after a refusal it is left out for a while, each time longer, because
    /// what refuses (locked pages) goes on refusing.
    pub fn may_purge(&mut self) -> bool {
        let due = self.purge_skips == 0;
        self.purge_skips = self.purge_skips.saturating_sub(1);
        due
    }

    pub fn note_purge(&mut self, done: bool) {
        self.purge_pause = if done { 0 } else { (self.purge_pause * 2).clamp(1, PURGE_PAUSE_MAX) };
        self.purge_skips = self.purge_pause;
    }

    /// Where the arena ends once everything from `start` on is given back: at `start`, or where the
    /// stretch before ends if it is the first granule of its own.
    pub fn end_below(&self, start: u32) -> Granules {
        let stretches = self.stretches.first(self.stretch_count);
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
