//! Sums over the free runs: the longest run and whether there is anything to purge, of 16 granules, of 16
//! times as many, and so on. They answer "where is the first run that long" and "where is the last dirty
//! granule" with one look at 16 entries a level.

use super::chunks::{CHUNK, Chunks, Purge};
use crate::config::{GRANULE, WINDOW};
use core::mem::replace;
use core::ops::Range;

/// Entries that one of the level above sums up.
pub(super) const FANOUT: usize = 1 << FANOUT_SHIFT;
pub(super) const FANOUT_SHIFT: u32 = 4;
/// As many levels as the largest window takes.
pub(super) const LEVELS: usize = 5;
const _: () = assert!(reach(LEVELS - 1) as usize == WINDOW / GRANULE && CHUNK == FANOUT * FANOUT);

/// Granules that the first 16 entries of a level speak of.
pub(super) const fn reach(level: usize) -> u32 {
    1 << ((level as u32 + 2) * FANOUT_SHIFT)
}

/// The longest free run among those that start in some granules, in the upper bits, and whether a purge of
/// any of them brings something, in the lowest.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Summary(u32);

impl Summary {
    pub(super) const NOTHING: Summary = Summary(0);

    pub(super) fn new(longest: u32, dirty: bool) -> Self {
        Summary(longest << 1 | dirty as u32)
    }

    /// What 16 say together.
    fn of(entries: &[Summary; FANOUT]) -> Self {
        // Four at a time, and as signed numbers: what the oldest vector instructions can do.
        let (mut highest, mut any) = ([0; 4], [0; 4]);
        for four in entries.as_chunks::<4>().0 {
            for lane in 0..4 {
                highest[lane] = highest[lane].max(four[lane].0 as i32);
                any[lane] |= four[lane].0;
            }
        }
        let longest = highest.into_iter().fold(0, i32::max) as u32 >> 1;
        Summary::new(longest, any.into_iter().fold(0, |any, lane| any | lane) & 1 != 0)
    }

    fn with(self, other: Summary) -> Self {
        Summary(self.0.max(other.0) & !1 | (self.0 | other.0) & 1)
    }

    /// What is said of some granules, of which a part said `before` and says `after` now; None where the
    /// others have to be asked.
    fn after_change(self, before: Summary, after: Summary) -> Option<Self> {
        let more = self.with(after);
        // What only the part can have said.
        let lost = before.0 >> 1 > after.0 >> 1 && before.0 >> 1 == self.0 >> 1;
        let cleaned = before.0 & !after.0 & 1 != 0;
        (!lost && !cleaned).then_some(more)
    }

    fn has_run(self, len: u32) -> bool {
        self.0 >> 1 >= len
    }

    fn has_any(self) -> bool {
        self.has_run(1)
    }

    fn is_dirty(self) -> bool {
        self.0 & 1 != 0
    }
}

/// The tree above the granules, from the entries of 16 granules up to its root. It is asked only while
/// something is free: before, there may be no chunks.
pub(super) struct Tree {
    /// The level whose first 16 entries speak of all granules that were ever free. Those above are not kept.
    root: usize,
}

impl Tree {
    pub(super) const fn new() -> Self {
        Tree { root: 0 }
    }

    /// Raises the root until it speaks of all granules below `end`.
    pub(super) fn cover(&mut self, chunks: &mut Chunks, end: u32) {
        while end > reach(self.root) && self.root + 1 < LEVELS {
            let all = Summary::of(chunks.block(self.root, 0));
            self.root += 1;
            *chunks.entry(self.root, 0) = all;
        }
    }

    /// Sums up anew what speaks of these granules.
    pub(super) fn refresh(&self, chunks: &mut Chunks, granules: Range<u32>) {
        for at in group(granules.start)..=group(granules.end - 1) {
            self.climb(chunks, at);
        }
    }

    /// Sums up the granules of an entry of level 0 anew, and above it what that changes.
    fn climb(&self, chunks: &mut Chunks, at: u32) {
        let (mut level, mut at, mut after) = (0, at, chunks.sum_up(at));
        loop {
            let before = replace(chunks.entry(level, at), after);
            if before == after || level == self.root {
                return;
            }
            let block = at / FANOUT as u32;
            let sum = *chunks.entry(level + 1, block);
            let known = sum.after_change(before, after);
            after = known.unwrap_or_else(|| Summary::of(chunks.block(level, block)));
            (level, at) = (level + 1, block);
        }
    }

    /// The head of the lowest free run of at least `len` granules, which is not 0.
    pub(super) fn lowest_fit(&self, chunks: &Chunks, len: u32) -> Option<u32> {
        let mut at = 0;
        for level in (0..=self.root).rev() {
            let found = chunks.block(level, at).iter().position(|entry| entry.has_run(len))?;
            at = at * FANOUT as u32 + found as u32;
        }
        members(at).find(|&at| chunks.len_from(at) >= len)
    }

    /// The highest granule with something to purge.
    pub(super) fn highest_dirty(&self, chunks: &Chunks) -> Option<u32> {
        let group = last_below(chunks, self.root + 1, 0, Summary::is_dirty)?;
        members(group).rev().find(|&at| chunks.dirt(at).purge != Purge::Nothing)
    }

    /// The head of the highest free run.
    pub(super) fn highest_head(&self, chunks: &Chunks) -> Option<u32> {
        self.last_head(chunks, members(last_below(chunks, self.root + 1, 0, Summary::has_any)?).end - 1)
    }

    /// The head of the last free run that starts at `at` or below.
    pub(super) fn last_head(&self, chunks: &Chunks, at: u32) -> Option<u32> {
        let is_head = |&at: &u32| chunks.len_from(at) > 0;
        let here = (members(group(at)).start..at + 1).rev().find(is_head);
        here.or_else(|| {
            let group = self.last_before(chunks, group(at), Summary::has_any)?;
            members(group).rev().find(is_head)
        })
    }

    /// The last entry of level 0 before `group` of which `wanted` holds. Only blocks that speak of `group`
    /// too are looked at, and those that are known to hold something: there may be no others.
    fn last_before(&self, chunks: &Chunks, group: u32, wanted: fn(Summary) -> bool) -> Option<u32> {
        let mut at = group;
        for level in 0..=self.root {
            let (block, below) = (at / FANOUT as u32, at as usize % FANOUT);
            let found = chunks.block(level, block).iter().take(below).rposition(|&entry| wanted(entry));
            if let Some(found) = found {
                return last_below(chunks, level, block * FANOUT as u32 + found as u32, wanted);
            }
            at = block;
        }
        None
    }
}

/// The last entry of level 0 below the entry `at` of a level, of which `wanted` holds. Where it holds of an
/// entry, it does of the sum too. Entry 0 of the level above the root is everything.
fn last_below(chunks: &Chunks, level: usize, at: u32, wanted: fn(Summary) -> bool) -> Option<u32> {
    let mut at = at;
    for level in (0..level).rev() {
        let found = chunks.block(level, at).iter().rposition(|&entry| wanted(entry))?;
        at = at * FANOUT as u32 + found as u32;
    }
    Some(at)
}

/// The entry of level 0 that speaks of a granule.
pub(super) fn group(granule: u32) -> u32 {
    granule / FANOUT as u32
}

/// The granules of an entry of level 0.
fn members(group: u32) -> Range<u32> {
    group * FANOUT as u32..(group + 1) * FANOUT as u32
}
