//! What the arena has, in bytes.
#![forbid(unsafe_code)]

use super::Arena;
use super::block::{DESCRIBED, TABLES, part_bytes, place_of};
use super::break_mode::BreakMode;
use super::directory::Levels;
use crate::base::config::GRANULE_SHIFT;
use crate::base::units::{Bytes, GranuleIdx};
use crate::os::Os;

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
    /// The addresses that were gained by the break, from the first to the last.
    pub brk: (usize, usize),
    /// Its tables as they are mapped, and an estimate of those of their pages that are in use.
    pub tables: Bytes,
    pub tables_in_use: Bytes,
}

impl<O: Os> Arena<O> {
    pub fn figures(&self) -> Option<ArenaFigures> {
        let bytes = |granules: u32| Bytes((granules as usize) << GRANULE_SHIFT);
        let geometry = self.geometry()?;
        let windows = self.windows.iter().map(|window| (1, window.granules * size_of::<u32>()));
        let (windows, maps) = windows.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        self.with_state(|state| {
            // Below the break's end, if any of it is free.
            let last = GranuleIdx(geometry.granule_of(state.brk.addrs().end).0.wrapping_sub(1));
            let free_at_top = match state.find(last) {
                Some(at) if !state.brk.addrs().is_empty() => {
                    state.head(at).runs.last(place_of(last) + 1).len()
                }
                _ => 0,
            };
            let (blocks, page) = (state.blocks.count(), state.page);
            let described = (state.in_use + state.free) as usize * DESCRIBED;
            ArenaFigures {
                mode: if state.mapped_last { BreakMode::Regions } else { BreakMode::Break },
                gained: bytes(state.in_use + state.free),
                in_use: bytes(state.in_use),
                peak_in_use: bytes(state.peak),
                free: bytes(state.free),
                dirty: Bytes(state.dirty as usize * state.page),
                free_at_top: bytes(free_at_top as u32),
                brk: (state.brk.addrs().start, state.brk.addrs().end),
                tables: Bytes(
                    size_of::<Levels>()
                        + state.blocks.bytes()
                        + maps
                        + blocks * TABLES
                        + state.bit_parts as usize * part_bytes(&self.os),
                ),
                // Of a block a page of each window's map, its head's, and what describes its granules.
                tables_in_use: Bytes(page * (2 + blocks * (windows + 2)) + state.blocks.bytes() + described),
            }
        })
    }
}
