//! All chunks, under their lock: those of a class that have a free block are in its list.
#![allow(unsafe_code)]

use super::at_hand::Free;
use super::away::{Away, Batch};
use super::chunk::{Blocks, Chunk};
use super::class::{MEDIUM_CLASSES, MediumClass};
use super::labels::{State, labels_of};
use super::{MediumFigures, Spot};
use crate::arena::page_map::Entry;
use crate::arena::{Arena, Geometry};
use crate::base::checked::Checked;
use crate::base::config::{CHUNKS_KEPT, GRANULE, GRANULE_SHIFT};
use crate::base::units::{Bytes, GranuleIdx, Granules, Run};
use crate::os::Os;
use crate::sync::stores::in_order;
use crate::sync::token::token;

pub struct Chunks {
    /// The first chunk of each class that has a free block: granule index plus one, or 0.
    lists: Checked<u32, MEDIUM_CLASSES>,
    /// The chunk of each class that is kept though all of it is free: granule index plus one, or 0. The lowest,
    /// so that the top of the arena can go.
    kept: Checked<u32, MEDIUM_CLASSES>,
    /// Bytes that are dirty in those.
    kept_dirty: usize,
    /// Granules of chunks.
    granules: u32,
    /// Bytes of blocks that are not free in their chunks, and of free ones that may have memory behind them.
    used: usize,
    dirty: usize,
    /// The thread that gives pages back (`sync::token`), or 0.
    purger: usize,
    /// How often all was made anew, in forks' children.
    rebuilt: u32,
    /// How many purges are still left out, and were last: the kernel refused.
    skips: u32,
    pause: u32,
}

/// Purges that are left out at most.
const PAUSE_MAX: u32 = 256;

impl Chunks {
    pub const fn new() -> Chunks {
        Chunks {
            lists: Checked([0; MEDIUM_CLASSES]),
            kept: Checked([0; MEDIUM_CLASSES]),
            kept_dirty: 0,
            granules: 0,
            used: 0,
            dirty: 0,
            purger: 0,
            rebuilt: 0,
            skips: 0,
            pause: 0,
        }
    }

    /// The record of a chunk.
    ///
    /// # Safety
    /// The granule is the head of a chunk, the lock is held for as long as the reference lives, and no other
    /// reference to the record does.
    #[inline]
    unsafe fn chunk<'a>(geometry: &Geometry, head: GranuleIdx) -> &'a mut Chunk {
        // SAFETY: as the caller vouches. What `make` wrote there is a record.
        unsafe { &mut *geometry.record(head).cast() }
    }

    /// A block of a class, which is in the state `to` from now on. None where the arena has no run for a
    /// chunk.
    pub fn take<O: Os>(&mut self, arena: &Arena<O>, class: MediumClass, to: State) -> Option<Free> {
        let there = class.served_by().find(|class| self.lists[class.number()] != 0);
        if there.is_none() {
            self.make(arena, class)?;
        }
        self.take_there(arena, there.unwrap_or(class), to)
    }

    /// The same, without a new chunk.
    pub fn take_there<O: Os>(&mut self, arena: &Arena<O>, class: MediumClass, to: State) -> Option<Free> {
        let head = GranuleIdx(self.lists[class.number()].checked_sub(1)?);
        let geometry = arena.started();
        // SAFETY: a chunk, lock held; the reference ends before another is made.
        let chunk = unsafe { Self::chunk(&geometry, head) };
        self.use_kept(chunk, head);
        let (at, clean) = chunk.take()?;
        let full = chunk.is_full();
        // SAFETY: a chunk.
        let labels = unsafe { labels_of(&geometry, head) };
        labels.say(at, to);
        if full {
            self.unlink(&geometry, head);
        }
        let bytes = class.bytes();
        self.used += bytes;
        self.count_dirty(arena, if clean { 0 } else { -(bytes as isize) });
        let block = geometry.start(head).wrapping_add(at as usize * bytes);
        Some(Free { block, spot: Spot { labels, head, class, at: at as u8 }, clean })
    }

    /// Puts a block back.
    pub fn put<O: Os>(&mut self, arena: &Arena<O>, spot: Spot) {
        // SAFETY: a block of it comes back.
        unsafe { spot.say(State::Free) };
        let bytes = spot.class.bytes();
        self.count_dirty(arena, bytes as isize);
        self.put_blocks(arena, spot.head, 1 << spot.at);
    }

    fn put_blocks<O: Os>(&mut self, arena: &Arena<O>, head: GranuleIdx, these: Blocks) {
        let geometry = arena.started();
        // SAFETY: a chunk, lock held; the reference ends before another is made.
        let chunk = unsafe { Self::chunk(&geometry, head) };
        let full = chunk.is_full();
        chunk.put(these);
        let (class, empty) = (chunk.class, chunk.is_empty());
        self.used -= these.count_ones() as usize * class.bytes();
        if full {
            self.link(&geometry, head, class);
        }
        if empty {
            self.on_empty(arena, head);
        }
    }

    #[inline]
    fn count_dirty<O: Os>(&mut self, arena: &Arena<O>, bytes: isize) {
        if bytes != 0 {
            self.dirty = self.dirty.wrapping_add_signed(bytes);
            arena.budget.set_in_chunks(self.dirty);
        }
    }

    /// Makes a chunk of a run of the arena's.
    #[cold]
    #[inline(never)]
    fn make<O: Os>(&mut self, arena: &Arena<O>, class: MediumClass) -> Option<()> {
        // A span as long as it has no record: a fork's child may have one block too many.
        let run = arena.alloc_run(class.granules(), Granules(1), Entry::span(class.granules()))?;
        let geometry = arena.started();
        let granules = arena.clean_granules(&run);
        // SAFETY: the run is ours alone: its records have no other user.
        let dirty = unsafe {
            labels_of(&geometry, run.head).begin(class);
            let chunk = Self::chunk(&geometry, run.head);
            chunk.reset(class, granules);
            chunk.dirty_bytes()
        };
        in_order();
        arena.rename_run(run.head, run.len, Entry::CHUNK);
        self.granules += run.len.0;
        self.count_dirty(arena, dirty as isize);
        self.link(&geometry, run.head, class);
        Some(())
    }

    /// Of a chunk all blocks are free: it is kept, or goes. All that are kept go where they are too many, or
    /// may be what keeps many addresses.
    fn on_empty<O: Os>(&mut self, arena: &Arena<O>, head: GranuleIdx) {
        let geometry = arena.started();
        // SAFETY: a chunk, lock held; the reference ends before another is made.
        let chunk = unsafe { Self::chunk(&geometry, head) };
        let (class, dirty) = (chunk.class.number(), chunk.dirty_bytes());
        let (lower, higher) = match self.kept[class].checked_sub(1).map(GranuleIdx) {
            None => (head, None),
            Some(kept) => (kept.min(head), Some(kept.max(head))),
        };
        self.kept_dirty += dirty;
        self.kept[class] = lower.0 + 1;
        if let Some(higher) = higher {
            self.retire_kept(arena, higher);
        }
        if arena.budget.is_pinned() {
            self.retire_empty(arena);
        } else if self.kept_dirty > CHUNKS_KEPT {
            self.kept[class] = 0;
            self.retire_kept(arena, lower);
        }
    }

    /// Gives the chunks back that were kept though empty.
    pub fn retire_empty<O: Os>(&mut self, arena: &Arena<O>) {
        for class in 0..MEDIUM_CLASSES {
            if let Some(kept) = core::mem::take(&mut self.kept[class]).checked_sub(1) {
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
    fn use_kept(&mut self, chunk: &Chunk, head: GranuleIdx) {
        let kept = &mut self.kept[chunk.class.number()];
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
        self.unlink(&geometry, head);
        // SAFETY: a chunk, lock held; the reference ends before the run goes.
        let chunk = unsafe { Self::chunk(&geometry, head) };
        let (class, dirty) = (chunk.class, chunk.dirty_bytes());
        let mut end = class.granules().0;
        let clean = (0..end).fold(0u32, |clean, granule| clean | (chunk.is_clean(granule) as u32) << granule);
        self.granules -= end;
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

    /// Puts a chunk first in its class's list.
    fn link(&mut self, geometry: &Geometry, head: GranuleIdx, class: MediumClass) {
        let first = core::mem::replace(&mut self.lists[class.number()], head.0 + 1);
        // SAFETY: a chunk, lock held; the reference ends before another is made.
        let chunk = unsafe { Self::chunk(geometry, head) };
        (chunk.prev, chunk.next) = (0, first);
        if let Some(next) = first.checked_sub(1) {
            // SAFETY: another chunk, lock held.
            unsafe { Self::chunk(geometry, GranuleIdx(next)) }.prev = head.0 + 1;
        }
    }

    fn unlink(&mut self, geometry: &Geometry, head: GranuleIdx) {
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
            None => self.lists[class.number()] = next,
        }
    }

    /// Starts a purge that leaves no more than `keep` bytes dirty. False where there is none to be made,
    /// another thread is at it, or the kernel refused the last ones.
    pub fn start_purge(&mut self, keep: usize) -> bool {
        if self.dirty <= keep || self.purger != 0 {
            return false;
        }
        let due = self.skips == 0 || keep == 0;
        self.skips = self.skips.saturating_sub(1);
        if due {
            self.purger = token();
        }
        due
    }

    /// Puts a batch back that was purged, and takes the next one out. False where the purge is over.
    pub fn next_batch<O: Os>(&mut self, arena: &Arena<O>, batch: &mut Batch, keep: usize) -> bool {
        if !batch.is_empty() && batch.rebuilt != self.rebuilt {
            // In a fork's child, made by a signal handler inside of this purge: all that was away is back.
            self.purger = 0;
            return false;
        }
        let refused = batch.stretches().iter().any(|away| !away.purged);
        for away in batch.stretches() {
            self.put_back(arena, away);
        }
        if !batch.is_empty() {
            self.pause = if refused { (self.pause * 2).clamp(1, PAUSE_MAX) } else { 0 };
            self.skips = self.pause;
        }
        batch.clear(self.rebuilt);
        if !refused {
            self.fill(arena, batch, keep);
        }
        if batch.is_empty() {
            self.purger = 0;
        }
        !batch.is_empty()
    }

    /// Takes stretches out until no more than `keep` bytes are dirty.
    fn fill<O: Os>(&mut self, arena: &Arena<O>, batch: &mut Batch, keep: usize) {
        let geometry = arena.started();
        for class in (0..MEDIUM_CLASSES).rev() {
            let mut next = self.lists[class];
            while let Some(head) = next.checked_sub(1).map(GranuleIdx) {
                // SAFETY: a chunk, lock held; the reference ends before another is made.
                let chunk = unsafe { Self::chunk(&geometry, head) };
                next = chunk.next;
                let bytes = chunk.class.bytes();
                for (these, pages) in chunk.purgeable(arena.os.page()) {
                    if batch.is_full() || self.dirty <= keep {
                        return;
                    }
                    batch.add(head, these, pages);
                    // SAFETY: as above.
                    let chunk = unsafe { Self::chunk(&geometry, head) };
                    self.use_kept(chunk, head);
                    let dirty = (chunk.dirty() & these).count_ones() as usize * bytes;
                    chunk.free &= !these;
                    let full = chunk.is_full();
                    self.used += these.count_ones() as usize * bytes;
                    self.count_dirty(arena, -(dirty as isize));
                    if full {
                        self.unlink(&geometry, head);
                    }
                }
            }
        }
    }

    fn put_back<O: Os>(&mut self, arena: &Arena<O>, away: &Away) {
        let geometry = arena.started();
        // SAFETY: a chunk: blocks of it come back. The reference ends before another is made.
        let chunk = unsafe { Self::chunk(&geometry, away.head) };
        // What came back to the chunk meanwhile is not among these.
        let before = chunk.free;
        chunk.free = away.blocks;
        if away.purged {
            chunk.note_clean(away.pages());
        }
        let dirty = chunk.dirty_bytes();
        chunk.free = before;
        self.count_dirty(arena, dirty as isize);
        self.put_blocks(arena, away.head, away.blocks);
    }

    /// In the child of a fork: whether a purge was lost with its thread.
    pub fn has_lost_purge(&self) -> bool {
        self.purger != 0 && self.purger != token()
    }

    /// In the child of a fork that caught another thread at work here: makes all anew by the page map and by
    /// the labels. Of what is free nothing is known.
    pub fn rebuild<O: Os>(&mut self, arena: &Arena<O>) {
        let purger = if self.has_lost_purge() { 0 } else { self.purger };
        *self = Chunks { purger, rebuilt: self.rebuilt.wrapping_add(1), ..Chunks::new() };
        let Some(geometry) = arena.geometry() else { return };
        arena.for_each_granule(|head, entry| {
            if entry != Entry::CHUNK {
                return;
            }
            // SAFETY: a chunk by its entry; the only thread of the process is this one.
            let (chunk, labels) = unsafe { (Self::chunk(&geometry, head), labels_of(&geometry, head)) };
            let class = labels.class();
            chunk.reset(class, 0);
            let whole = (0..class.granules().0).all(|granule| {
                let addr = geometry.addr_of(GranuleIdx(head.0 + granule));
                arena.entry_at(geometry, addr) == Entry::CHUNK.of_later(granule)
            });
            // One that was being given back is the arena's in part, and lost.
            let is_free = |&at: &u32| whole && labels.state(at) == State::Free;
            chunk.free = (0..class.blocks()).filter(is_free).fold(0, |free, at| free | 1 << at);
            let (free, full) = (chunk.free.count_ones() as usize, chunk.is_full());
            self.granules += class.granules().0;
            self.dirty += free * class.bytes();
            self.used += (class.blocks() as usize - free) * class.bytes();
            if !full {
                self.link(&geometry, head, class);
            }
        });
        arena.budget.set_in_chunks(self.dirty);
    }

    pub fn figures(&self) -> MediumFigures {
        MediumFigures {
            chunk_bytes: Bytes(bytes_of(Granules(self.granules))),
            used_bytes: Bytes(self.used),
            dirty_bytes: Bytes(self.dirty),
        }
    }
}

fn bytes_of(granules: Granules) -> usize {
    (granules.0 as usize) << GRANULE_SHIFT
}
