//! All chunks, under their lock: those of a class that have a free block are in its list.
#![allow(unsafe_code)]

use super::chunk::{Blocks, Chunk};
use super::class::{MEDIUM_CLASSES, MediumClass};
use super::figures::MediumFigures;
use super::labels::{State, label_of, label_of_block};
use super::of_class::{List, OfClass, Side};
use super::spot::{Free, Spot};
use crate::arena::page_map::Entry;
use crate::arena::{Arena, Geometry};
use crate::base::checked::Checked;
use crate::base::config::{CHUNKS_KEPT, GRANULE};
use crate::base::units::{Bytes, GranuleIdx, Granules, Run};
use crate::base::why::{Cause, Reason};
use crate::os::Os;
use crate::sync::stores::in_order;

/// What all classes share fits on the lock's line of the cache.
#[repr(C)]
pub struct Chunks {
    /// Bytes that are dirty in chunks which are kept though all of them is free.
    pub(super) kept_dirty: usize,
    /// Bytes of blocks that are free in their chunks, those that are away included; and of those that may
    /// have memory behind them.
    pub(super) free: usize,
    pub(super) dirty: usize,
    /// The least that was dirty since somebody asked for it.
    pub(super) least_dirty: usize,
    /// The thread that gives pages back (`sync::token`), or 0.
    pub(super) purger: usize,
    /// How often all was made anew, in forks' children.
    pub(super) rebuilt: u32,
    /// How many purges are still left out, and were last: the kernel refused.
    pub(super) skips: u32,
    pub(super) pause: u32,
    pub(super) of: Checked<OfClass, MEDIUM_CLASSES>,
}

impl Chunks {
    pub const fn new() -> Chunks {
        Chunks {
            kept_dirty: 0,
            free: 0,
            dirty: 0,
            least_dirty: 0,
            purger: 0,
            rebuilt: 0,
            skips: 0,
            pause: 0,
            of: Checked([OfClass::NONE; MEDIUM_CLASSES]),
        }
    }

    /// The record of a chunk.
    ///
    /// # Safety
    /// The granule is the head of a chunk, the lock is held for as long as the reference lives, and no other
    /// reference to the record does.
    #[inline]
    pub(super) unsafe fn chunk<'a>(geometry: &Geometry, head: GranuleIdx) -> &'a mut Chunk {
        // SAFETY: as the caller vouches. What `make` wrote there is a record.
        unsafe { &mut *geometry.record(head).cast() }
    }

    /// A block of a class for a side, which is in the state `to` from now on. None where the arena has no run
    /// for a chunk.
    pub fn take<O: Os>(
        &mut self,
        arena: &Arena<O>,
        class: MediumClass,
        side: Side,
        to: State,
    ) -> Option<Free> {
        let there = List::in_turn(side)
            .find_map(|list| class.served_by().find_map(|class| self.of[class.number()].first(list)));
        let head = match there {
            Some(head) => head,
            None => self.make(arena, class, side)?,
        };
        self.take_of(arena, head, side, to)
    }

    /// The same of its own class alone, without a new chunk.
    pub fn take_there<O: Os>(
        &mut self,
        arena: &Arena<O>,
        class: MediumClass,
        side: Side,
        to: State,
    ) -> Option<Free> {
        let head = List::in_turn(side).find_map(|list| self.of[class.number()].first(list))?;
        self.take_of(arena, head, side, to)
    }

    /// A block of a chunk that has one.
    fn take_of<O: Os>(&mut self, arena: &Arena<O>, head: GranuleIdx, side: Side, to: State) -> Option<Free> {
        let geometry = arena.started();
        // SAFETY: a chunk, lock held; the reference ends before another is made.
        let chunk = unsafe { Self::chunk(&geometry, head) };
        self.use_kept(chunk, head);
        let (class, before) = (chunk.class, chunk.list());
        if chunk.is_empty() {
            chunk.side = side;
        }
        let (at, clean) = chunk.take()?;
        let after = chunk.list();
        // SAFETY: a chunk.
        let label = unsafe { label_of_block(&geometry, head, class, at) };
        label.say(at, to);
        self.relink(&geometry, head, before, after);
        let bytes = class.bytes();
        self.of[class.number()].figures.used += 1;
        self.free -= bytes;
        self.count_dirty(arena, if clean { 0 } else { -(bytes as isize) });
        if clean {
            arena.note_taken(Bytes(bytes));
        }
        let block = geometry.start(head).wrapping_add(at as usize * bytes);
        Some(Free { block, spot: Spot { label, head, class, at: at as u8 }, clean })
    }

    /// Puts a block back.
    pub fn put<O: Os>(&mut self, arena: &Arena<O>, spot: Spot) {
        // SAFETY: a block of it comes back.
        unsafe { spot.say(State::Free) };
        let bytes = spot.class.bytes();
        self.free += bytes;
        self.count_dirty(arena, bytes as isize);
        self.of[spot.class.number()].figures.used -= 1;
        self.put_blocks(arena, spot.head, 1 << spot.at);
    }

    pub(super) fn put_blocks<O: Os>(&mut self, arena: &Arena<O>, head: GranuleIdx, these: Blocks) {
        let geometry = arena.started();
        // SAFETY: a chunk, lock held; the reference ends before another is made.
        let chunk = unsafe { Self::chunk(&geometry, head) };
        let before = chunk.list();
        chunk.put(these);
        let (after, empty) = (chunk.list(), chunk.is_empty());
        self.relink(&geometry, head, before, after);
        if empty {
            self.on_empty(arena, head);
        }
    }

    #[inline]
    pub(super) fn count_dirty<O: Os>(&mut self, arena: &Arena<O>, bytes: isize) {
        self.dirty = self.dirty.wrapping_add_signed(bytes);
        self.least_dirty = self.least_dirty.min(self.dirty);
        arena.budget.set_in_chunks(self.free, self.dirty);
    }

    /// Makes a chunk of a run of the arena's.
    #[cold]
    #[inline(never)]
    fn make<O: Os>(&mut self, arena: &Arena<O>, class: MediumClass, side: Side) -> Option<GranuleIdx> {
        // A span as long as it has no record: a fork's child may have one block too many.
        let (len, why) = (class.granules(), Reason::Chunk.by(Cause::Medium(Bytes(class.bytes()))));
        let (run, _) = arena.take_run(len, Granules(1), Entry::span(len), why)?;
        let geometry = arena.started();
        let granules = arena.clean_granules(&run);
        // SAFETY: the run is ours alone: its records have no other user.
        let (dirty, list) = unsafe {
            for granule in run.head.0..run.head.0 + len.0 {
                label_of(&geometry, GranuleIdx(granule)).begin(class);
            }
            let chunk = Self::chunk(&geometry, run.head);
            chunk.reset(class, side, granules);
            (chunk.dirty_bytes(), chunk.list())
        };
        in_order();
        arena.rename_run(run.head, run.len, Entry::CHUNK);
        self.of[class.number()].figures.chunks += 1;
        self.free += class.blocks() as usize * class.bytes();
        self.count_dirty(arena, dirty as isize);
        self.relink(&geometry, run.head, None, list);
        Some(run.head)
    }

    /// Of a chunk all blocks are free: it is kept, or goes. All that are kept go where they are too many, or
    /// may be what keeps many addresses.
    fn on_empty<O: Os>(&mut self, arena: &Arena<O>, head: GranuleIdx) {
        let geometry = arena.started();
        // SAFETY: a chunk, lock held; the reference ends before another is made.
        let chunk = unsafe { Self::chunk(&geometry, head) };
        let (class, dirty) = (chunk.class.number(), chunk.dirty_bytes());
        let (lower, higher) = match self.of[class].kept.checked_sub(1).map(GranuleIdx) {
            None => (head, None),
            Some(kept) => (kept.min(head), Some(kept.max(head))),
        };
        self.kept_dirty += dirty;
        self.of[class].kept = lower.0 + 1;
        if let Some(higher) = higher {
            self.retire_kept(arena, higher);
        }
        if arena.budget.is_pinned() {
            self.retire_empty(arena);
        } else if self.kept_dirty > CHUNKS_KEPT {
            self.of[class].kept = 0;
            self.retire_kept(arena, lower);
        }
    }

    /// Gives the chunks back that were kept though empty.
    pub fn retire_empty<O: Os>(&mut self, arena: &Arena<O>) {
        for class in 0..MEDIUM_CLASSES {
            if let Some(kept) = core::mem::take(&mut self.of[class].kept).checked_sub(1) {
                self.retire_kept(arena, GranuleIdx(kept));
            }
        }
    }

    /// Gives a chunk back whose dirty bytes are counted among those of kept ones.
    fn retire_kept<O: Os>(&mut self, arena: &Arena<O>, head: GranuleIdx) {
        // SAFETY: a chunk, lock held; the reference ends before another is made.
        self.kept_dirty -= unsafe { Self::chunk(&arena.started(), head) }.dirty_bytes();
        self.retire(arena, head);
    }

    /// Blocks of a chunk are about to be taken: it is not kept any more, if it was.
    #[inline]
    pub(super) fn use_kept(&mut self, chunk: &Chunk, head: GranuleIdx) {
        let kept = &mut self.of[chunk.class.number()].kept;
        if *kept == head.0 + 1 {
            *kept = 0;
            self.kept_dirty -= chunk.dirty_bytes();
        }
    }

    /// Gives a chunk back that has no block: what is clean of it by itself, and the head last, so that a
    /// fork's child finds what is left.
    #[cold]
    #[inline(never)]
    fn retire<O: Os>(&mut self, arena: &Arena<O>, head: GranuleIdx) {
        let geometry = arena.started();
        // SAFETY: a chunk, lock held; the reference ends before another is made.
        let chunk = unsafe { Self::chunk(&geometry, head) };
        let (class, dirty, list) = (chunk.class, chunk.dirty_bytes(), chunk.list());
        let mut end = class.granules().0;
        let clean = (0..end).fold(0u32, |clean, granule| clean | (chunk.is_clean(granule) as u32) << granule);
        self.relink(&geometry, head, list, None);
        self.of[class.number()].figures.chunks -= 1;
        self.free -= class.blocks() as usize * class.bytes();
        self.count_dirty(arena, -(dirty as isize));
        while end > 0 {
            let zeroed = clean >> (end - 1) & 1 == 1;
            let same = |granule: &u32| (clean >> granule & 1 == 1) == zeroed;
            let first = end - (0..end).rev().take_while(same).count() as u32;
            let run = Run { head: GranuleIdx(head.0 + first), len: Granules(end - first), zeroed };
            arena.free_run(run, Bytes(if zeroed { 0 } else { GRANULE }));
            end = first;
        }
    }

    /// Puts a chunk that was in one list, or in none, into another one.
    #[inline]
    pub(super) fn relink(
        &mut self,
        geometry: &Geometry,
        head: GranuleIdx,
        from: Option<List>,
        to: Option<List>,
    ) {
        if from == to {
            return;
        }
        if let Some(from) = from {
            self.unlink(geometry, head, from);
        }
        if let Some(to) = to {
            self.link(geometry, head, to);
        }
    }

    /// Puts a chunk first in a list of its class.
    fn link(&mut self, geometry: &Geometry, head: GranuleIdx, list: List) {
        // SAFETY: a chunk, lock held; the reference ends before another is made.
        let chunk = unsafe { Self::chunk(geometry, head) };
        let first = core::mem::replace(self.of[chunk.class.number()].list(list), head.0 + 1);
        (chunk.prev, chunk.next) = (0, first);
        if let Some(next) = first.checked_sub(1) {
            // SAFETY: another chunk, lock held.
            unsafe { Self::chunk(geometry, GranuleIdx(next)) }.prev = head.0 + 1;
        }
    }

    fn unlink(&mut self, geometry: &Geometry, head: GranuleIdx, list: List) {
        // SAFETY: a chunk, lock held; the reference ends before another is made.
        let chunk = unsafe { Self::chunk(geometry, head) };
        let (prev, next, class) = (chunk.prev, chunk.next, chunk.class);
        if let Some(next) = next.checked_sub(1) {
            // SAFETY: another chunk, lock held.
            unsafe { Self::chunk(geometry, GranuleIdx(next)) }.prev = prev;
        }
        match prev.checked_sub(1) {
            // SAFETY: another chunk, lock held.
            Some(prev) => unsafe { Self::chunk(geometry, GranuleIdx(prev)) }.next = next,
            None => *self.of[class.number()].list(list) = next,
        }
    }

    /// How much of what is dirty was used at some time since the last call.
    pub fn used_of_dirty(&mut self) -> usize {
        self.dirty - core::mem::replace(&mut self.least_dirty, self.dirty)
    }

    pub fn figures(&self) -> MediumFigures {
        MediumFigures::of(&Checked(self.of.0.each_ref().map(|of| of.figures)), self.dirty)
    }
}
