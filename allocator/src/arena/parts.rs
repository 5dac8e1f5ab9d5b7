//! The arena, part by part: what each of its addresses is used for.
#![forbid(unsafe_code)]

use super::block::{PARTS, TABLES, part_bytes};
use super::directory::Levels;
use super::page_map::Entry;
use super::{Arena, Geometry};
use crate::base::checked::Checked;
use crate::base::config::{BLOCK_GRANULES, GRANULE};
use crate::base::units::GranuleIdx;
use crate::os::Os;
use core::ptr::null_mut;

/// What addresses are used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// Not the arena's.
    None,
    /// A part of a free run: without pages; with some, perhaps.
    Free,
    Dirty,
    Slab,
    Chunk,
    Span,
    /// Tables.
    Tables,
}

/// Addresses side by side with one use.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub at: *mut u8,
    pub len: usize,
    pub used_for: Use,
}

type Uses = Checked<Use, { BLOCK_GRANULES as usize }>;

impl<O: Os> Arena<O> {
    /// Calls `f` with every part, the tables first. The lock is taken for a look at one block of 64 MiB after
    /// the other, and is open while `f` runs: what is told may have changed meanwhile.
    pub fn for_each_part(&self, mut f: impl FnMut(Part)) {
        let Some(geometry) = self.geometry() else { return };
        let mut tables = |at: *const u8, len| f(Part { at: at.cast_mut(), len, used_for: Use::Tables });
        tables(geometry.directory.levels().cast(), size_of::<Levels>());
        for window in self.windows.iter() {
            tables(window.map.words().cast(), window.granules * size_of::<u32>());
        }
        let (mut at, mut uses) = (0, Checked([Use::None; BLOCK_GRANULES as usize]));
        let mut bits = Checked([null_mut(); PARTS]);
        while let Some((number, head)) = self.look_at(geometry, at, &mut uses, &mut bits) {
            f(Part { at: head, len: TABLES, used_for: Use::Tables });
            for &at in bits.0.iter().filter(|at| !at.is_null()) {
                f(Part { at, len: part_bytes(&self.os), used_for: Use::Tables });
            }
            let mut from = 0;
            while from < BLOCK_GRANULES as usize {
                let used_for = uses[from];
                let more = uses.0.iter().skip(from).take_while(|&&of| of == used_for).count();
                if used_for != Use::None {
                    let first = GranuleIdx(number * BLOCK_GRANULES + from as u32);
                    f(Part { at: geometry.start(first), len: more * GRANULE, used_for });
                }
                from += more;
            }
            at += 1;
        }
    }

    /// What the granules of a block are used for: its number, and where its tables are, those of `bits` too.
    /// None behind the last block.
    fn look_at(
        &self,
        geometry: Geometry,
        at: usize,
        uses: &mut Uses,
        bits: &mut Checked<*mut u8, PARTS>,
    ) -> Option<(u32, *mut u8)> {
        let mut guard = self.lock();
        let state = guard.as_mut().filter(|state| at < state.blocks.count())?;
        let block = state.blocks.block(at);
        (0..).zip(&mut bits.0).for_each(|(at, bits)| *bits = block.bit_part(at));
        let head = state.head(at);
        for (place, used_for) in (0..BLOCK_GRANULES).zip(&mut uses.0) {
            let entry = || self.entry_of(geometry, GranuleIdx(head.number * BLOCK_GRANULES + place));
            *used_for = match head.gained.get(place) {
                false => Use::None,
                true => use_of(entry(), head.runs.dirty_pages(place..place + 1)),
            };
        }
        Some((head.number, block.0.cast()))
    }
}

fn use_of(entry: Entry, dirty: u32) -> Use {
    match entry {
        Entry::FREE if dirty > 0 => Use::Dirty,
        Entry::FREE => Use::Free,
        slab if slab.as_slab().is_some() => Use::Slab,
        chunk if chunk.in_chunk().is_some() => Use::Chunk,
        _ => Use::Span,
    }
}
