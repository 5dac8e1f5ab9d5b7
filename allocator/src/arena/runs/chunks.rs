//! The table of granules, in chunks: what the arena knows of each granule, free or not, and what it knows of
//! many at once.
//!
//! ```text
//!   granules     0 … 255              256 … 511            …  4096 …
//!   chunk        │edges│dirt│level 0│ │edges│dirt│level 0│ …  │edges│dirt│level 0│
//!   and in every 16th, for 16 chunks:  level 1               level 1
//!   in every 256th:                    level 2, and so on
//! ```
//!
//! An entry of level 0 sums up 16 granules, one of the next level 16 of those; the 16 entries of what one
//! entry above sums up lie together, in the first of the chunks that they speak of.

use super::summary::{FANOUT, FANOUT_SHIFT, LEVELS, Summary};
use crate::row::{at_or_end, at_or_end_mut};
use crate::units::{GranuleIdx, Granules};
use core::ops::Range;

/// Granules of a chunk.
pub const CHUNK: usize = FANOUT * FANOUT;

/// What a purge of a free granule is to bring. Zero bytes are `Nothing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Purge {
    /// It is in use, or clean, or pinned.
    Nothing,
    /// Its dirty pages, of which there are some.
    Pages,
    /// All pages of the huge page that it stands for.
    Unit,
}

/// What was written in one granule.
#[derive(Clone, Copy)]
pub(super) struct Dirt {
    /// An upper bound of its pages that may hold anything but zeros.
    pub pages: u8,
    /// What of them counts; see invariant 4 of the runs.
    pub purge: Purge,
}

#[derive(Clone, Copy)]
#[repr(C, align(2048))]
pub struct Chunk {
    /// The length of the free run whose first granule this is; minus the length, at the last one. A run of
    /// one granule has 1; all others have 0.
    edges: [i32; CHUNK],
    /// The granules' `Dirt`.
    pages: [u8; CHUNK],
    purge: [Purge; CHUNK],
    summaries: [[Summary; FANOUT]; LEVELS],
}

impl Chunk {
    /// Nothing free, nothing dirty: what memory that reads as zero says.
    #[cfg(test)]
    pub const NOTHING: Chunk = Chunk {
        edges: [0; CHUNK],
        pages: [0; CHUNK],
        purge: [Purge::Nothing; CHUNK],
        summaries: [[Summary::NOTHING; FANOUT]; LEVELS],
    };
}

/// The chunks of all granules that the tables describe. An index beyond them ends the program without
/// unwinding, which the allocator must not do.
#[repr(transparent)]
pub struct Chunks([Chunk]);

impl Chunks {
    pub fn new(chunks: &mut [Chunk]) -> &mut Chunks {
        // SAFETY: a transparent wrapper of the same slice.
        unsafe { &mut *(core::ptr::from_mut(chunks) as *mut Chunks) }
    }

    /// The length of the free run that starts at a granule, else 0.
    pub(super) fn len_from(&self, at: u32) -> u32 {
        self.edge(at).max(0) as u32
    }

    /// The length of the free run that ends before a granule, else 0.
    pub(super) fn len_before(&self, at: u32) -> u32 {
        match at.checked_sub(1).map(|last| self.edge(last)) {
            Some(1) => 1,
            Some(edge) if edge < 0 => edge.unsigned_abs(),
            // In use, or the first of several: those would be free too, and of the same run.
            _ => 0,
        }
    }

    /// Granules beyond the tables are of no run.
    fn edge(&self, at: u32) -> i32 {
        self.0.get(at as usize / CHUNK).map_or(0, |chunk| chunk.edges[at as usize % CHUNK])
    }

    fn set_edge(&mut self, at: u32, edge: i32) {
        at_or_end_mut(&mut self.0, at as usize / CHUNK).edges[at as usize % CHUNK] = edge;
    }

    /// Writes the edges of a free run, if there is anything of it.
    pub(super) fn link(&mut self, run: Range<u32>) {
        let len = run.len() as i32;
        if len > 0 {
            self.set_edge(run.end - 1, -len);
            self.set_edge(run.start, len);
        }
    }

    /// Wipes the edges of what was a free run, if there is anything of it.
    pub(super) fn unlink(&mut self, run: Range<u32>) {
        if !run.is_empty() {
            self.set_edge(run.end - 1, 0);
            self.set_edge(run.start, 0);
        }
    }

    pub(super) fn dirt(&self, at: u32) -> Dirt {
        let (chunk, at) = (at_or_end(&self.0, at as usize / CHUNK), at as usize % CHUNK);
        Dirt { pages: chunk.pages[at], purge: chunk.purge[at] }
    }

    fn pages_mut(&mut self, at: u32) -> &mut u8 {
        &mut at_or_end_mut(&mut self.0, at as usize / CHUNK).pages[at as usize % CHUNK]
    }

    pub(super) fn set_purge(&mut self, at: u32, purge: Purge) {
        at_or_end_mut(&mut self.0, at as usize / CHUNK).purge[at as usize % CHUNK] = purge;
    }

    /// Sums up the granules of an entry of level 0.
    pub(super) fn sum_up(&self, group: u32) -> Summary {
        let chunk = at_or_end(&self.0, group as usize / FANOUT);
        let edges = &chunk.edges.as_chunks::<FANOUT>().0[group as usize % FANOUT];
        let purges = &chunk.purge.as_chunks::<FANOUT>().0[group as usize % FANOUT];
        let longest = edges.iter().fold(0, |longest, &edge| longest.max(edge));
        let dirty = purges.iter().fold(0, |any, &purge| any | purge as u8);
        Summary::new(longest as u32, dirty != 0)
    }

    /// The 16 entries of a level that one entry of the level above sums up.
    pub(super) fn block(&self, level: usize, block: u32) -> &[Summary; FANOUT] {
        at_or_end(&at_or_end(&self.0, chunk_of(level, block)).summaries, level)
    }

    pub(super) fn entry(&mut self, level: usize, at: u32) -> &mut Summary {
        let chunk = at_or_end_mut(&mut self.0, chunk_of(level, at / FANOUT as u32));
        &mut at_or_end_mut(&mut chunk.summaries, level)[at as usize % FANOUT]
    }
}

/// The chunk where a block of summaries lies.
fn chunk_of(level: usize, block: u32) -> usize {
    (block as usize) << (level as u32 * FANOUT_SHIFT)
}

/// The first chunks of all blocks of summaries that speak of a chunk: writable wherever it is.
pub fn holders(chunk: usize) -> impl Iterator<Item = usize> {
    (1..LEVELS as u32).map(move |level| chunk >> (level * FANOUT_SHIFT) << (level * FANOUT_SHIFT))
}

/// The dirty pages of granules that are in use.
pub fn dirty_pages(chunks: &Chunks, head: GranuleIdx, len: Granules) -> u32 {
    (head.0..head.0 + len.0).map(|at| chunks.dirt(at).pages as u32).sum()
}

/// Raises the dirty pages of granules in use to at least `pages` each.
pub fn soil(chunks: &mut Chunks, head: GranuleIdx, len: Granules, pages: u8) {
    for at in head.0..head.0 + len.0 {
        let most = chunks.pages_mut(at);
        *most = pages.max(*most);
    }
}

/// Marks granules in use as reading zero.
pub fn clean(chunks: &mut Chunks, head: GranuleIdx, len: Granules) {
    for at in head.0..head.0 + len.0 {
        *chunks.pages_mut(at) = 0;
    }
}

/// Takes granules for used ones, whatever runs they were in, and forgets every sum that speaks of them.
pub fn forget(chunks: &mut Chunks, from: u32, to: u32) {
    for at in from..to {
        chunks.set_edge(at, 0);
        chunks.set_purge(at, Purge::Nothing);
    }
    let (mut first, mut last) = (from / FANOUT as u32, to.div_ceil(FANOUT as u32));
    for level in 0..LEVELS {
        for entry in first..last {
            *chunks.entry(level, entry) = Summary::NOTHING;
        }
        (first, last) = (first / FANOUT as u32, last.div_ceil(FANOUT as u32));
    }
}
