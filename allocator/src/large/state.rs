//! What is known of the large blocks, under their lock; and what is decided of each call: its plan.
#![allow(unsafe_code)]

use super::cache::{Cache, Short};
use super::index::Index;
use super::leaving::Leaving;
use super::mapping::Mapping;
use super::recycle::{Pages, Recycle};
use super::stuck::Stuck;
use crate::arena::{Arena, Share};
use crate::base::builder::HugePages;
use crate::base::config::HUGE_PAGE;
use crate::base::keys::Key;
use crate::base::units::{Bytes, round_up};
use crate::os::Os;

/// How a block is to grow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Not at all where a copy of it costs less: into cached pages, or onto huge ones.
    Cheapest,
    /// If it can: there is no memory for a copy.
    Forced,
}

/// Why a large block has not the size that was asked for. It is as it was, with so many usable bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The pointer is no large block.
    NoBlock,
    /// A copy of it costs less.
    CopyCostsLess { usable: usize },
    /// The kernel has no memory or no addresses for it.
    NoMemory { usable: usize },
}

/// A glance at the large blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeFigures {
    pub live: usize,
    pub live_bytes: usize,
    pub cached: usize,
    pub cached_bytes: usize,
    /// Bytes of the index's table.
    pub table_bytes: usize,
}

pub struct State {
    pub index: Index,
    pub cache: Cache,
    pub live_bytes: usize,
    pub recycle: Recycle,
    pub stuck: Stuck,
}

// SAFETY: the mappings are the cache's own.
unsafe impl Send for State {}

/// What there is for a new block.
pub enum Found {
    /// A mapping that is long enough. It is a block already.
    Whole(Mapping),
    /// A cached mapping, to be made longer.
    Short(Mapping),
    Nothing,
}

/// How a block comes to its new size.
pub enum Resizing {
    /// It has it, where it is.
    Done { len: usize },
    /// Its mapping changes its length. Meanwhile it is no block.
    Remap { from: Mapping, to: usize },
}

impl State {
    pub const fn new() -> Self {
        State {
            index: Index::new(),
            cache: Cache::new(),
            live_bytes: 0,
            recycle: Recycle::new(),
            stuck: Stuck::new(),
        }
    }

    fn follow<O: Os>(&mut self, arena: &Arena<O>) {
        self.recycle.follow(HugePages::of(arena.settings.get(Key::HugePages)));
    }

    /// Plans a block of so many bytes, in whole pages: how long it is to be, and what there is for it. None
    /// where there is no memory for the index.
    pub fn find<O: Os>(&mut self, arena: &Arena<O>, bytes: usize, align: usize) -> Option<(usize, Found)> {
        self.follow(arena);
        let len = self.recycle.length(bytes);
        if let Some(mapping) = self.stuck.pop(len, align) {
            if !self.enter(arena, mapping) {
                // SAFETY: it was there a moment ago.
                unsafe { self.stuck.push(mapping) };
                return None;
            }
            return Some((len, Found::Whole(mapping)));
        }
        let pages = self.recycle.pages();
        // Growing may move the mapping, to a multiple of a page only.
        let short = if align <= arena.os.page() { Short::Grows } else { Short::Stays };
        let Some(mapping) = self.cache.take_for(len, align, pages, short) else {
            return Some((len, Found::Nothing));
        };
        arena.budget.count_outside(0, -(mapping.len as isize));
        if mapping.len < len {
            return Some((len, Found::Short(mapping)));
        }
        if !self.enter(arena, mapping) {
            // There is a place: what it was cut off, or its own.
            self.put(arena, mapping, &mut Leaving::none());
            return None;
        }
        Some((len, Found::Whole(mapping)))
    }

    /// Makes a mapping a block. False where there is no memory for the index.
    #[must_use]
    pub fn enter<O: Os>(&mut self, arena: &Arena<O>, mapping: Mapping) -> bool {
        if !self.index.reserve(&arena.os) {
            return false;
        }
        self.index.insert(mapping.at.addr(), mapping.len);
        self.live_bytes += mapping.len;
        arena.budget.count_outside(mapping.len as isize, 0);
        true
    }

    /// Plans the end of a block: the part of its mapping that is to be cached, and how many bytes may be
    /// there; the rest leaves. None where the pointer is no block.
    pub fn remove<O: Os>(
        &mut self,
        arena: &Arena<O>,
        share: Share,
        block: *mut u8,
        leaving: &mut Leaving,
    ) -> Option<(Mapping, usize)> {
        self.follow(arena);
        let len = self.index.remove(block.addr())?;
        self.live_bytes -= len;
        arena.budget.count_outside(-(len as isize), 0);
        let bound = arena.cache_bound(share);
        let whole = Mapping { at: core::ptr::with_exposed_provenance_mut(block.addr()), len };
        // Of what is longer than the bound a part is kept, and of what is cut at huge pages the whole ones.
        let pages = self.recycle.pages();
        let (front, rest) = whole.split(if pages == Pages::Huge { whole.before_huge() } else { 0 });
        let (kept, behind) = rest.split(rest.part_within(bound, pages));
        for part in [front, behind] {
            if part.len > 0 {
                self.leave(arena, part, leaving);
            }
        }
        if kept.len == 0 {
            self.take_excess(arena, bound, leaving);
        }
        Some((kept, bound))
    }

    /// Has a mapping leave, which is in neither the index nor the cache. Its bytes earn credit.
    pub fn leave<O: Os>(&mut self, arena: &Arena<O>, mapping: Mapping, leaving: &mut Leaving) {
        self.recycle.earn(mapping.len);
        arena.note_gone(Bytes(mapping.len));
        leaving.push(mapping);
        if !self.stuck.is_empty() {
            leaving.note_others_wait();
        }
    }

    /// Puts a mapping into the cache; it leaves where there is no place.
    pub fn put<O: Os>(&mut self, arena: &Arena<O>, mapping: Mapping, leaving: &mut Leaving) {
        if self.cache.put(mapping) {
            arena.budget.count_outside(0, mapping.len as isize);
        } else {
            self.leave(arena, mapping, leaving);
        }
    }

    /// Has cached mappings leave, the oldest first, until they hold `bound` bytes at most, or no more can
    /// leave at once.
    pub fn take_excess<O: Os>(&mut self, arena: &Arena<O>, bound: usize, leaving: &mut Leaving) {
        while !leaving.is_full() {
            let pages = self.recycle.pages();
            let Some(excess) = self.cache.take_excess(bound, pages) else { return };
            arena.budget.count_outside(0, -(excess.len as isize));
            self.leave(arena, excess, leaving);
        }
    }

    /// Plans a block's new size.
    pub fn plan_resize<O: Os>(
        &mut self,
        arena: &Arena<O>,
        block: *mut u8,
        size: usize,
        growth: Growth,
    ) -> Result<Resizing, Refusal> {
        self.follow(arena);
        let key = block.addr();
        let mut old = self.index.get(key).ok_or(Refusal::NoBlock)?;
        let pages = round_up(size, arena.os.page()).ok_or(Refusal::NoMemory { usable: old })?;
        // One that shrinks does not grow to whole huge pages.
        let long = self.recycle.length(pages);
        let new = if pages > old { long } else { long.min(old) };
        let at: *mut u8 = core::ptr::with_exposed_provenance_mut(key);
        if new > old {
            // Cached pages first: those behind it; else, at the price of a copy, those elsewhere.
            let gained = self.cache.take_behind(at.wrapping_add(old), new - old);
            let to_huge = self.recycle.pages() == Pages::Huge && old < HUGE_PAGE && new >= HUGE_PAGE;
            let copy = to_huge || self.cache.fits(new);
            if gained == 0 && copy && growth == Growth::Cheapest {
                return Err(Refusal::CopyCostsLess { usable: old });
            }
            self.change(key, old, old + gained);
            arena.budget.count_outside(gained as isize, -(gained as isize));
            old += gained;
            if old >= new {
                return Ok(Resizing::Done { len: old });
            }
        } else if new == old {
            return Ok(Resizing::Done { len: old });
        }
        self.index.set_aside(key);
        Ok(Resizing::Remap { from: Mapping { at, len: old }, to: new })
    }

    /// Changes the length of a block that stays where it is.
    fn change(&mut self, key: usize, old: usize, new: usize) {
        self.index.remove(key);
        self.index.insert(key, new);
        self.live_bytes = self.live_bytes - old + new;
    }

    /// A block that was set aside is one again, where it is now.
    pub fn enter_again<O: Os>(&mut self, arena: &Arena<O>, old: Mapping, now: Mapping) {
        // `set_aside` kept a slot in the old table, so there is room. Another thread may have replaced that
        // table since: room is made for the next block too. Where that is refused, the next one makes it.
        self.index.insert(now.at.addr(), now.len);
        self.index.reserve(&arena.os);
        self.live_bytes = self.live_bytes - old.len + now.len;
        arena.budget.count_outside(now.len as isize - old.len as isize, 0);
    }

    pub fn figures(&self) -> LargeFigures {
        LargeFigures {
            live: self.index.live(),
            live_bytes: self.live_bytes,
            cached: self.cache.count(),
            cached_bytes: self.cache.bytes(),
            table_bytes: self.index.table_mapping().map_or(0, |table| table.len),
        }
    }

    /// Makes it right in the child of a fork, which may have copied it in the middle of a change.
    pub fn recount<O: Os>(&mut self, arena: &Arena<O>) {
        self.index.recount();
        // Whether the cache is whole is not known: its mappings stay, unused.
        self.cache = Cache::new();
        self.stuck = Stuck::new();
        self.live_bytes = self.index.bytes();
        arena.budget.recount_outside(self.live_bytes, 0);
    }
}
