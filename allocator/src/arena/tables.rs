//! The arena's tables: reserved for the whole window at once, made writable as the arena grows.
//!
//! ```text
//!   one reservation:  │ page map, 4 B │ chunks, 8 B │ records, 544 B │   per granule of the window
//! ```

use super::RECORD;
use super::runs::{CHUNK, Chunk, holders};
use crate::config::GRANULE_SHIFT;
use crate::os::Os;
use crate::units::{Granules, round_down, round_up};
use core::ops::Range;
use core::sync::atomic::AtomicU32;

pub struct Tables {
    pub map: *mut AtomicU32,
    pub chunks: *mut Chunk,
    pub records: *mut u8,
    /// Bytes reserved in all.
    pub len: usize,
}

const MAP_WORD: usize = size_of::<AtomicU32>();
/// A granule's part of a chunk.
const SHARE: usize = size_of::<Chunk>() / CHUNK;
const _: () = assert!(SHARE == 8 && RECORD == 544);

impl Tables {
    /// Reserves the tables of a window and makes the page map readable: it shows zeros, "not ours".
    pub fn reserve<O: Os>(os: &O, window: usize, page: usize) -> Option<Tables> {
        let granules = window >> GRANULE_SHIFT;
        let map_len = round_up(granules * MAP_WORD, page)?;
        let chunks_len = round_up(granules.next_multiple_of(CHUNK) * SHARE, page)?;
        let record_len = round_up(granules * RECORD, page)?;
        let len = map_len + chunks_len + record_len;
        let start = os.reserve(len, c"brkmap: tables")?;
        // SAFETY: reserved a moment ago.
        if !unsafe { os.show_zeros(start, map_len) } {
            // SAFETY: as above.
            unsafe { os.unmap(start, len) };
            return None;
        }
        Some(Tables {
            map: start.cast(),
            chunks: start.wrapping_add(map_len).cast(),
            records: start.wrapping_add(map_len + chunks_len),
            len,
        })
    }

    /// Up to where the tables are ready where the arena ends at `end`: in steps of as many granules as one
    /// page of the map describes, and one granule further, because joining free runs looks at the neighbours.
    pub fn ready_to(page: usize, end: u32) -> u32 {
        let step = (page / MAP_WORD) as u32;
        (end + step) & !(step - 1)
    }

    /// Makes the tables writable for granules `from..to` and their neighbours. Those between the stretch that
    /// ends below `from` and `end` are already, if `from` is not above it. The new end.
    pub fn make_ready<O: Os>(
        &self,
        os: &O,
        page: usize,
        window: Granules,
        end: u32,
        from: u32,
        to: u32,
    ) -> Option<u32> {
        let step = page / MAP_WORD;
        let first = round_down(from.saturating_sub(1) as usize, step);
        let first = if from <= end { first.max(end as usize) } else { first };
        let last = Self::ready_to(page, to).min(window.0) as usize;
        if last <= first {
            return Some(end);
        }
        for (table, width) in
            [(self.map.cast::<u8>(), MAP_WORD), (self.chunks.cast::<u8>(), SHARE), (self.records, RECORD)]
        {
            let len = (last - first) * width;
            // The window may end inside a page of the map, whose rest belongs to the map too.
            let len = round_up(len, page)?;
            // SAFETY: a part of the reservation: `last` is at most the window's end.
            if !unsafe { os.commit(table.wrapping_add(first * width), len) } {
                return None;
            }
        }
        if from > end {
            // Across a hole, the sums over these granules may lie in chunks that it left out.
            for chunk in holders(first / CHUNK) {
                let at = round_down(chunk * size_of::<Chunk>(), page);
                // SAFETY: a part of the reservation: the chunk is before the first of these granules.
                if !unsafe { os.commit(self.chunks.cast::<u8>().wrapping_add(at), page) } {
                    return None;
                }
            }
        }
        Some(last as u32)
    }

    /// Gives the pages of the tables back that describe only granules `from..to`, which left the arena: they
    /// read as zeros then, as they did before.
    pub fn purge<O: Os>(&self, os: &O, page: usize, from: u32, to: u32) {
        for (table, width) in [(self.chunks.cast::<u8>(), SHARE), (self.records, RECORD)] {
            // Joining free runs looks at the neighbours of what is still the arena's.
            let Some(start) = round_up((from as usize + 1) * width, page) else { return };
            let end = round_down((to as usize - 1) * width, page);
            if start < end {
                // SAFETY: a part of the tables that nobody reads before the granules are gained again. What
                // was not made ready, in a hole, has no pages.
                unsafe { os.purge(table.wrapping_add(start), end - start) };
            }
        }
    }

    /// Gives the pages back that hold records of `granules` and of nothing outside `run`, the free run that
    /// they are a part of: the next holder of a granule writes its record anew.
    pub fn purge_records<O: Os>(&self, os: &O, page: usize, granules: Range<u32>, run: Range<u32>) {
        let at = |granule: u32| granule as usize * RECORD;
        let first =
            round_up(at(run.start), page).map(|first| first.max(round_down(at(granules.start), page)));
        let last = round_up(at(granules.end), page).map(|last| last.min(round_down(at(run.end), page)));
        if let (Some(first), Some(last)) = (first, last)
            && first < last
        {
            // SAFETY: a part of the tables that was made ready; the run is free, so nobody reads its records.
            unsafe { os.purge(self.records.wrapping_add(first), last - first) };
        }
    }
}
