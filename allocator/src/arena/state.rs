//! What the arena's lock guards.
#![allow(unsafe_code)]

use super::block::{Block, Head, number_of, place_of};
use super::block_list::BlockList;
use super::own_break::OwnBreak;
use super::regions::Regions;
use super::runs::Runs;
use crate::base::checked::Checked;
use crate::base::config::{BLOCK_GRANULES, GRANULE_SHIFT, GROW_FIRST};
use crate::base::units::{Bytes, GranuleIdx, Granules};
use crate::sync::token::token;
use core::ops::Range;

/// Frees above the bound for which a purge is left out at most.
const PURGE_PAUSE_MAX: u32 = 256;

/// Threads that may purge at the same time.
const PURGERS: usize = 8;

/// A run whose pages go back: in no free run, and without an entry.
#[derive(Clone, Copy)]
pub struct Purging {
    /// The thread that does it (`sync::token`), 0 for none.
    pub thread: usize,
    pub head: GranuleIdx,
    pub len: Granules,
    /// Those of its pages that are dirty.
    pub pages: u32,
}

impl Purging {
    const NONE: Purging = Purging { thread: 0, head: GranuleIdx(0), len: Granules(0), pages: 0 };

    pub fn holds(&self, granule: GranuleIdx) -> bool {
        self.thread != 0 && granule.0.wrapping_sub(self.head.0) < self.len.0
    }
}

pub struct State {
    pub brk: OwnBreak,
    pub regions: Regions,
    /// Bytes of the next step of growth.
    pub step: usize,
    /// The last growth was by a region.
    pub mapped_last: bool,
    pub blocks: BlockList,
    /// Parts of their bits that are mapped (see `block`).
    pub bit_parts: u32,
    pub in_use: u32,
    pub peak: u32,
    /// Free granules, and dirty pages of them, over all blocks.
    pub free: u32,
    pub dirty: u32,
    /// The least that `dirty` was in this period (see `idle`).
    pub idle: u32,
    /// Runs that are taken out while their pages go back.
    pub purging: Checked<Purging, PURGERS>,
    /// Granules that may be free while something swings, beyond those that may be without.
    pub more: u32,
    /// An end that is long is free, and should go (see `shrink`).
    pub ends_go: bool,
    /// How many granules must be free before ends are tried again, while much is: the kernel kept one.
    pub refused_at: u32,
    /// How often the next purge is still left out, and how often it was this time.
    purge_skips: u32,
    purge_pause: u32,
    pub page: usize,
}

// SAFETY: the pointers lead to the arena's own tables, which this state's lock guards.
unsafe impl Send for State {}

/// What became of a purge.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purged {
    /// The pages went.
    Done,
    Refused,
}

impl State {
    pub fn new(brk: OwnBreak, regions: Regions, page: usize) -> Self {
        State {
            brk,
            regions,
            step: GROW_FIRST,
            mapped_last: false,
            blocks: BlockList::new(),
            bit_parts: 0,
            in_use: 0,
            peak: 0,
            free: 0,
            dirty: 0,
            idle: 0,
            purging: Checked([Purging::NONE; PURGERS]),
            more: 0,
            ends_go: false,
            refused_at: 0,
            purge_skips: 0,
            purge_pause: 0,
            page,
        }
    }

    /// The head of a block in the list.
    pub fn head(&mut self, at: usize) -> &mut Head {
        // SAFETY: a block in the list has its tables, and `&mut self` is the arena's lock held.
        unsafe { self.blocks.block(at).head() }
    }

    /// What is clean of granules of the block that stands there.
    pub fn clean_bytes(&mut self, at: usize, granules: Range<u32>) -> Bytes {
        let bytes = granules.len() << GRANULE_SHIFT;
        let page = self.page;
        Bytes(bytes - self.head(at).runs.dirty_pages(granules) as usize * page)
    }

    /// Where the block of a granule stands in the list.
    pub fn find(&self, granule: GranuleIdx) -> Option<usize> {
        self.blocks.find(number_of(granule))
    }

    /// Changes the free runs of a block by `f`, and what is known of them outside of it.
    pub fn change<R>(&mut self, at: usize, f: impl FnOnce(&mut Runs) -> R) -> R {
        let runs = &mut self.head(at).runs;
        let before = (runs.free(), runs.dirty());
        let result = f(runs);
        let (free, dirty, summary) = (runs.free(), runs.dirty(), runs.summary());
        self.free = self.free - before.0 + free;
        self.dirty = self.dirty - before.1 + dirty;
        self.idle = self.idle.min(self.dirty);
        self.blocks.set_summary(at, summary);
        result
    }

    /// Takes a run out of the free ones: the block that it is of, and where in it.
    pub fn take(&mut self, len: Granules, align: Granules) -> Option<(usize, Range<u32>)> {
        let at = self.blocks.first_fit(len.0 + align.0 - 1)?;
        let start = self.change(at, |runs| runs.take_first(len.0, align.0))?;
        self.count_in_use(len.0);
        Some((at, start..start + len.0))
    }

    /// Counts granules in that are in use from now on.
    pub fn count_in_use(&mut self, granules: u32) {
        self.in_use += granules;
        self.peak = self.peak.max(self.in_use);
    }

    /// Whether a purge is worth a try: after a refusal it is left out for a while, each time longer, because
    /// what refuses (locked pages) goes on refusing.
    pub fn may_purge(&mut self) -> bool {
        let due = self.purge_skips == 0;
        self.purge_skips = self.purge_skips.saturating_sub(1);
        due
    }

    /// Takes the upper dirty part of the highest dirty run, up to `pages` dirty pages, for the calling
    /// thread to purge. None where nothing is dirty, and where enough threads are at it.
    pub fn start_purge(&mut self, pages: u32) -> Option<Purging> {
        let free = self.purging.0.iter().position(|row| row.thread == 0)?;
        let at = self.blocks.last_dirty()?;
        let before = self.dirty;
        let taken = self.change(at, |runs| runs.take_dirty(pages))?;
        let pages = before - self.dirty;
        let (head, len) = (self.index(self.blocks.block(at), taken.start), Granules(taken.len() as u32));
        let purging = Purging { thread: token(), head, len, pages };
        self.purging[free] = purging;
        Some(purging)
    }

    /// Adds a run that was to be purged to the free ones. Where its block stands in the list, and the free
    /// run that it is a part of.
    pub fn end_purge(&mut self, purging: Purging, purged: Purged) -> Option<(usize, Range<u32>)> {
        if let Some(row) = self.purging.0.iter_mut().find(|row| row.holds(purging.head)) {
            *row = Purging::NONE;
        }
        self.purge_pause =
            if purged == Purged::Done { 0 } else { (self.purge_pause * 2).clamp(1, PURGE_PAUSE_MAX) };
        self.purge_skips = self.purge_pause;
        let (at, granules) = (self.find(purging.head)?, places(purging.head, purging.len));
        let run = self.change(at, |runs| {
            if purged == Purged::Done {
                runs.clean(granules.clone());
            }
            runs.insert(granules)
        });
        Some((at, run))
    }

    /// The index of a granule of a block in the list.
    pub fn index(&self, block: Block, place: u32) -> GranuleIdx {
        // SAFETY: as in `head`; only read, while `&self` is held.
        GranuleIdx(unsafe { block.head() }.number * BLOCK_GRANULES + place)
    }
}

/// The granules of a run, counted from its block's first.
pub fn places(head: GranuleIdx, len: Granules) -> Range<u32> {
    place_of(head)..place_of(head) + len.0
}
