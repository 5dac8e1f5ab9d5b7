//! Large blocks: each one an anonymous mapping of its own, without a header.
//!
//! ```text
//!   alloc ─► cache: a freed mapping, cut or grown (mremap) to fit ─► else mmap
//!   free  ─► cache, while dirty memory is inside its bound        ─► else munmap
//! ```
//!
//! What is cut off stays in the cache, and what touches there is one: for blocks of many sizes the cache
//! is a pool of pages, so that few are given back only to be faulted in again.
//!
//! The lock guards the index, the cache, and what the arena is told of both; it is never held across a system
//! call but for the rare growth of the index. A block's address leaves the index before its mapping goes,
//! because the kernel may hand the address to another thread at once.

mod cache;
mod index;
mod recycle;
mod stuck;

use crate::arena::Arena;
use crate::base::config::HUGE_PAGE;
use crate::base::units::round_up;
use crate::os::Os;
use crate::sync::lock::{Inherited, Lock};
use cache::Cache;
use index::Index;
use recycle::Recycle;
use stuck::Stuck;

#[derive(Clone, Copy)]
struct Mapping {
    at: *mut u8,
    len: usize,
}

struct State {
    index: Index,
    cache: Cache,
    live_bytes: usize,
    recycle: Recycle,
    stuck: Stuck,
}

// SAFETY: the mappings are the cache's own.
unsafe impl Send for State {}

pub struct Large {
    state: Lock<State>,
}

/// Whether a block that is to grow may be left as it is because a copy of it costs less: into cached pages,
/// or onto huge ones.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shortcuts {
    Copies,
    /// It must grow if it can: there is no memory for a copy.
    None,
}

/// A large block, how long it is, and how much of it, from its start, may be other than zero.
pub struct LargeBlock {
    pub block: *mut u8,
    pub len: usize,
    pub soiled: usize,
}

/// A glance at the large blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeFigures {
    pub live: usize,
    pub live_bytes: usize,
    pub cached: usize,
    pub cached_bytes: usize,
}

impl Large {
    pub const fn new() -> Self {
        Large {
            state: Lock::new(State {
                index: Index::new(),
                cache: Cache::new(),
                live_bytes: 0,
                recycle: Recycle::new(),
                stuck: Stuck::new(),
            }),
        }
    }

    /// A block of at least `size` bytes at a multiple of `align`.
    pub fn alloc<O: Os>(&self, arena: &Arena<O>, size: usize, align: usize) -> Option<LargeBlock> {
        let len = self.state.lock().recycle.length(round_up(size.max(1), arena.os.page())?);
        let (mapping, soiled) = match self.reuse(arena, len, align) {
            Some(reused) => reused,
            None => {
                let mapping = map_aligned(&arena.os, len, align)?;
                self.advise(arena, mapping, len);
                (mapping, 0)
            }
        };
        let mut state = self.state.lock();
        if !state.index.reserve(&arena.os) {
            drop(state);
            // SAFETY: mapped above, handed to nobody.
            unsafe { self.unmap(&arena.os, mapping) };
            return None;
        }
        state.index.insert(mapping.at.addr(), mapping.len);
        state.live_bytes += mapping.len;
        arena.count_outside(mapping.len as isize, 0);
        drop(state);
        Some(LargeBlock { block: mapping.at, len: mapping.len, soiled })
    }

    /// Usable bytes of a large block; None where the pointer is none.
    pub fn usable(&self, block: *mut u8) -> Option<usize> {
        self.state.lock().index.get(block.addr())
    }

    /// Frees a large block. False where the pointer is none.
    ///
    /// # Safety
    /// The caller gives the block up.
    pub unsafe fn free<O: Os>(&self, arena: &Arena<O>, block: *mut u8) -> bool {
        let mut state = self.state.lock();
        let Some(len) = state.index.remove(block.addr()) else { return false };
        state.live_bytes -= len;
        arena.count_outside(-(len as isize), 0);
        drop(state);
        let whole = Mapping { at: core::ptr::with_exposed_provenance_mut(block.addr()), len };
        let bound = arena.cache_bound();
        // SAFETY: it left the index, so it is this thread's alone.
        unsafe { self.keep(arena, whole, bound) };
        self.shrink_cache(arena, bound);
        true
    }

    /// Changes a large block to at least `size` bytes, moving its pages where it must. None where the
    /// kernel refuses, where a shortcut is advised, and where the pointer is no large block; the block is
    /// then as it was.
    ///
    /// # Safety
    /// The caller owns the block, and where it succeeds uses the result in its stead.
    pub unsafe fn realloc<O: Os>(
        &self,
        arena: &Arena<O>,
        block: *mut u8,
        size: usize,
        shortcuts: Shortcuts,
    ) -> Option<*mut u8> {
        let new = round_up(size, arena.os.page())?;
        let at: *mut u8 = core::ptr::with_exposed_provenance_mut(block.addr());
        let mut state = self.state.lock();
        let mut old = state.index.get(block.addr())?;
        // One that shrinks does not grow to whole huge pages.
        let new = if new > old { state.recycle.length(new) } else { state.recycle.length(new).min(old) };
        if new > old {
            // Cached pages first: those behind it; else, at the price of a copy, those elsewhere.
            let gained = state.cache.take_behind(at.wrapping_add(old), new - old);
            let to_huge = state.recycle.is_on() && old < HUGE_PAGE && new >= HUGE_PAGE;
            let copy = to_huge || state.cache.fits(new);
            if gained == 0 && copy && shortcuts == Shortcuts::Copies {
                return None;
            }
            state.change(block.addr(), old, old + gained);
            arena.count_outside(gained as isize, -(gained as isize));
            old += gained;
            if old >= new {
                return Some(block);
            }
        } else if new == old {
            return Some(block);
        }
        state.index.set_aside(block.addr());
        drop(state);
        // SAFETY: a live mapping of ours that its owner wants changed; out of the index meanwhile.
        let moved = unsafe { arena.os.remap(at, old, new) };
        let (result, len) = moved.map_or((at, old), |moved| (moved, new));
        let mut state = self.state.lock();
        // `set_aside` kept a slot in the old table, so there is room. Another thread may have replaced that
        // table since: room is made for the next block too. Where that is refused, the next one makes it.
        state.index.insert(result.addr(), len);
        state.index.reserve(&arena.os);
        state.live_bytes = state.live_bytes - old + len;
        arena.count_outside(len as isize - old as isize, 0);
        drop(state);
        if len > old {
            self.advise(arena, Mapping { at: result, len }, len - old);
        }
        // Where it could not be cut it is long enough as it is.
        moved.or((new < old).then_some(at))
    }

    /// Unmaps cached mappings, the oldest first, until they hold `bound` bytes at most.
    pub fn shrink_cache<O: Os>(&self, arena: &Arena<O>, bound: usize) {
        let excess = || {
            let mut state = self.state.lock();
            let huge = state.recycle.is_on();
            let excess = state.cache.take_excess(bound, huge)?;
            arena.count_outside(0, -(excess.len as isize));
            Some(excess)
        };
        while let Some(excess) = excess() {
            // SAFETY: it left the cache, so it is this thread's alone.
            unsafe { self.unmap(&arena.os, excess) };
        }
    }

    /// Unmaps a mapping for good. Where the kernel refuses (its count of mappings is full) the pages go and
    /// the addresses wait: for a large request that fits, or for the next mapping that is unmapped.
    ///
    /// # Safety
    /// The mapping is this thread's alone, and nothing in it is needed.
    unsafe fn unmap<O: Os>(&self, os: &O, mapping: Mapping) {
        let mut next = Some(mapping);
        // One that waits goes with each that went, and then another: so they become fewer.
        for _ in 0..3 {
            let Some(mapping) = next else { return };
            // SAFETY: as the caller vouches; what waits is this allocator's alone.
            if !unsafe { os.unmap(mapping.at, mapping.len) } {
                // SAFETY: as above. Where this is refused too, the pages stay.
                unsafe { os.purge(mapping.at, mapping.len) };
                // SAFETY: as above.
                unsafe { self.state.lock().stuck.push(mapping) };
                return;
            }
            let mut state = self.state.lock();
            state.recycle.give_back(mapping.len);
            next = state.stuck.pop(0, 1);
        }
        if let Some(mapping) = next {
            // SAFETY: taken from there a moment ago.
            unsafe { self.state.lock().stuck.push(mapping) };
        }
    }

    pub fn figures(&self) -> LargeFigures {
        let state = self.state.lock();
        LargeFigures {
            live: state.index.live(),
            live_bytes: state.live_bytes,
            cached: state.cache.count(),
            cached_bytes: state.cache.bytes(),
        }
    }

    /// Unmaps the table of the blocks, which stay, for a library that is unloaded.
    ///
    /// # Safety
    /// No thread is inside of the allocator, or enters it from here on.
    pub unsafe fn unload<O: Os>(&self, os: &O) {
        self.state.lock().index.unmap(os);
    }

    /// In the child of a fork.
    ///
    /// # Safety
    /// As for `Allocator::repair_after_fork`.
    pub unsafe fn repair_after_fork<O: Os>(&self, arena: &Arena<O>) {
        // What is live and cached is counted under the lock: where nobody held it, the sums are right.
        // SAFETY: as the caller vouches.
        if unsafe { self.state.inherit() } == Inherited::Torn {
            let mut state = self.state.lock();
            state.index.recount();
            // Whether the cache is whole is not known: its mappings stay, unused.
            state.cache = Cache::new();
            state.stuck = Stuck::new();
            state.live_bytes = state.index.bytes();
            arena.recount_outside(state.live_bytes, 0);
        }
    }

    /// Whether the calling thread holds the lock.
    pub fn is_mine(&self) -> bool {
        self.state.is_mine()
    }

    #[cfg(test)]
    pub fn hold_lock(&self) -> impl Sized + '_ {
        self.state.lock()
    }

    /// Puts a mapping into the cache: of what is longer than `bound` a part, and of what is cut at huge pages
    /// the whole ones.
    ///
    /// # Safety
    /// The mapping is this thread's alone, and nothing in it is needed.
    unsafe fn keep<O: Os>(&self, arena: &Arena<O>, mapping: Mapping, bound: usize) {
        let huge = self.state.lock().recycle.is_on();
        let (front, rest) = mapping.split(if huge { mapping.before_huge() } else { 0 });
        let (kept, behind) = rest.split(rest.part_within(bound, huge));
        for part in [front, behind] {
            if part.len > 0 {
                // SAFETY: as the caller vouches.
                unsafe { self.unmap(&arena.os, part) };
            }
        }
        if kept.len == 0 {
            return;
        }
        // The next owner is to get a block like any other, whatever this one did to its pages.
        // SAFETY: as the caller vouches.
        let plain = unsafe { arena.os.make_plain(kept.at, kept.len) };
        if !plain || !self.put(arena, kept) {
            // SAFETY: as the caller vouches.
            unsafe { self.unmap(&arena.os, kept) };
        }
    }

    /// Puts a mapping into the cache, if there is a place.
    fn put<O: Os>(&self, arena: &Arena<O>, mapping: Mapping) -> bool {
        let mut state = self.state.lock();
        let put = state.cache.put(mapping);
        if put {
            arena.count_outside(0, mapping.len as isize);
        }
        put
    }

    /// A cached mapping made to fit, and how much of it is as it was left.
    fn reuse<O: Os>(&self, arena: &Arena<O>, len: usize, align: usize) -> Option<(Mapping, usize)> {
        let mut state = self.state.lock();
        if let Some(mapping) = state.stuck.pop(len, align) {
            return Some((mapping, mapping.len));
        }
        let huge = state.recycle.is_on();
        // Growing may move the mapping, to a multiple of a page only.
        let found = state.cache.take_for(len, align, huge, align <= arena.os.page())?;
        arena.count_outside(0, -(found.len as isize));
        drop(state);
        if found.len >= len {
            return Some((found, found.len));
        }
        // SAFETY: this thread's alone.
        match unsafe { arena.os.remap(found.at, found.len, len) } {
            Some(at) => {
                self.advise(arena, Mapping { at, len }, len - found.len);
                Some((Mapping { at, len }, found.len))
            }
            None => {
                // Of two mappings that the kernel did not join, for example: it may serve as it is.
                // SAFETY: as above.
                unsafe { self.keep(arena, found, found.len) };
                None
            }
        }
    }

    /// Has huge pages come under a mapping of which `fresh` bytes have none yet, if it is long enough and
    /// the program recycles.
    fn advise<O: Os>(&self, arena: &Arena<O>, mapping: Mapping, fresh: usize) {
        if self.state.lock().recycle.take(mapping.len, fresh) {
            // SAFETY: a mapping that is this thread's alone. All of it is asked for, so that it stays one.
            unsafe { arena.os.advise_huge(mapping.at, mapping.len) };
        }
    }
}

impl State {
    /// Changes the length of a block that stays where it is.
    fn change(&mut self, key: usize, old: usize, new: usize) {
        self.index.remove(key);
        self.index.insert(key, new);
        self.live_bytes = self.live_bytes - old + new;
    }
}

/// A new mapping at a multiple of `align`: mapped longer, and cut at both ends.
fn map_aligned<O: Os>(os: &O, len: usize, align: usize) -> Option<Mapping> {
    let page = os.page();
    if align <= page {
        return os.map(len).map(|at| Mapping { at, len });
    }
    let long = len.checked_add(align - page)?;
    let start = os.map(long)?;
    let skip = round_up(start.addr(), align)? - start.addr();
    let (at, behind) = (start.wrapping_add(skip), long - skip - len);
    // SAFETY: both ends are parts of the mapping made above. Where the kernel refuses to cut (its count
    // of mappings is full), the end stays mapped and untouched: address space, no memory.
    unsafe {
        if skip > 0 {
            os.unmap(start, skip);
        }
        if behind > 0 {
            os.unmap(at.wrapping_add(len), behind);
        }
    }
    Some(Mapping { at, len })
}
