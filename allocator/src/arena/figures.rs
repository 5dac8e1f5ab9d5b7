//! What the arena has, in bytes.

use super::{Arena, BreakMode};
use crate::config::GRANULE_SHIFT;
use crate::os::Os;
use crate::units::Bytes;

/// A glance at the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArenaFigures {
    pub mode: BreakMode,
    pub gained: Bytes,
    pub in_use: Bytes,
    pub peak_in_use: Bytes,
    pub free: Bytes,
    pub dirty: Bytes,
    pub free_at_top: Bytes,
}

impl<O: Os> Arena<O> {
    pub fn figures(&self) -> Option<ArenaFigures> {
        let bytes = |granules: u32| Bytes((granules as usize) << GRANULE_SHIFT);
        self.with_state(|state| {
            let end = state.top.end().0;
            let (chunks, runs) = state.parts();
            let free_at_top = runs.last(chunks, end).map_or(0, |(_, len)| len.0);
            ArenaFigures {
                mode: state.top.live_mode(),
                gained: bytes(state.in_use + state.runs.free().0),
                in_use: bytes(state.in_use),
                peak_in_use: bytes(state.peak),
                free: bytes(state.runs.free().0),
                dirty: Bytes((state.runs.dirty() + state.runs.pinned()) as usize * state.page),
                free_at_top: bytes(free_at_top),
            }
        })
    }
}
