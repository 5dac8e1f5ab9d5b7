//! What the arena's lock guards.

use super::runs::{CHUNK, Chunk, Chunks, Runs};
use super::stretches::Stretches;
use super::top::Top;
use crate::config::GRANULE_SHIFT;
use crate::units::{GranuleIdx, Granules};

/// Frees above the bound for which a purge is left out at most.
const PURGE_PAUSE_MAX: u32 = 256;

pub struct State {
    pub top: Top,
    pub runs: Runs,
    pub chunks: *mut Chunk,
    /// Up to where the tables of all granules of the arena are writable, counted from the base. What is a
    /// hole, or was one when the arena grew across it, may have none.
    pub tables_end: u32,
    /// Granules whose tables may have pages: where the arena's end was highest since they went back.
    pub tables_used: u32,
    pub stretches: Stretches,
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
    /// The chunks of all granules of the arena, and of the holes between them.
    pub fn chunks(&mut self) -> &mut Chunks {
        self.parts().0
    }

    pub fn parts(&mut self) -> (&mut Chunks, &mut Runs) {
        let len = (self.tables_end as usize).div_ceil(CHUNK);
        // SAFETY: the chunks are this arena's, reserved up to the end of the window, and guarded by the lock
        // that made this reference possible, which is exclusive. Those of granules that the arena has are
        // writable, and zero is a chunk; those of a hole are not touched.
        let chunks = unsafe { core::slice::from_raw_parts_mut(self.chunks, len) };
        (Chunks::new(chunks), &mut self.runs)
    }

    pub fn take(&mut self, len: Granules, align: Granules) -> Option<GranuleIdx> {
        // Alignment counts from address 0, indices from the base.
        let phase = (self.top.base().addr() >> GRANULE_SHIFT) & (align.0 as usize - 1);
        let (chunks, runs) = self.parts();
        runs.take_first(chunks, len, align, phase as u32)
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
}
