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
//! The lock guards the index and the cache, and is never held across a system call but for the rare
//! growth of the index. A block's address leaves the index before its mapping goes, because the
//! kernel may hand the address to another thread at once.

mod index;
mod stuck;

use crate::arena::Arena;
use crate::config::HUGE_PAGE;
use crate::os::Os;
use crate::row::Row;
use crate::sync::lock::Lock;
use crate::units::round_up;
use index::Index;
use stuck::Stuck;

/// Mappings the cache holds at most: it is searched from end to end.
const CACHED_MAX: usize = 32;

/// The end that a reused mapping is too long by is cut off from this size on, and from a sixteenth of the
/// block: smaller pieces would fill the cache and serve nobody.
const CUT_MIN: usize = 64 << 10;

#[derive(Clone, Copy)]
struct Mapping {
    at: *mut u8,
    len: usize,
}

struct State {
    index: Index,
    /// Oldest first.
    cache: Row<Mapping, CACHED_MAX>,
    cached: usize,
    cached_bytes: usize,
    live_bytes: usize,
    stuck: Stuck,
}

// SAFETY: the mappings are the cache's own.
unsafe impl Send for State {}

pub struct Large {
    state: Lock<State>,
}

/// A large block, and whether it reads as zero.
pub struct LargeBlock {
    pub block: *mut u8,
    pub zeroed: bool,
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
                cache: Row([Mapping { at: core::ptr::null_mut(), len: 0 }; CACHED_MAX]),
                cached: 0,
                cached_bytes: 0,
                live_bytes: 0,
                stuck: Stuck::new(),
            }),
        }
    }

    /// A block of at least `size` bytes at a multiple of `align`.
    pub fn alloc<O: Os>(&self, arena: &Arena<O>, size: usize, align: usize) -> Option<LargeBlock> {
        let page = arena.os.page();
        let len = round_up(size.max(1), page)?;
        let (mapping, zeroed) = match self.reuse(arena, len, align) {
            Some(mapping) => (mapping, false),
            None => (map_aligned(&arena.os, len, align)?, true),
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
        drop(state);
        arena.count_outside(mapping.len as isize, 0);
        Some(LargeBlock { block: mapping.at, zeroed })
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
        drop(state);
        arena.count_outside(-(len as isize), 0);
        let mapping = Mapping { at: core::ptr::with_exposed_provenance_mut(block.addr()), len };
        if len > arena.cache_bound() || !self.keep(arena, mapping) {
            // SAFETY: it left the index, so it is this thread's alone.
            unsafe { self.unmap(&arena.os, mapping) };
        }
        self.shrink_cache(arena, arena.cache_bound());
        true
    }

    /// Changes a large block to at least `size` bytes, moving its pages where it must. None where the
    /// kernel refuses; the block is then as it was. The pointer must be a large block.
    ///
    /// # Safety
    /// The caller owns the block, and where it succeeds uses the result in its stead.
    pub unsafe fn realloc<O: Os>(&self, arena: &Arena<O>, block: *mut u8, size: usize) -> Option<*mut u8> {
        let new = round_up(size, arena.os.page())?;
        let mut state = self.state.lock();
        let old = state.index.get(block.addr())?;
        if new == old {
            return Some(block);
        }
        state.index.remove(block.addr());
        drop(state);
        let at = core::ptr::with_exposed_provenance_mut(block.addr());
        // SAFETY: a live mapping of ours that its owner wants changed; out of the index meanwhile.
        let moved = unsafe { arena.os.remap(at, old, new) };
        let (result, len) = moved.map_or((at, old), |moved| (moved, new));
        let mut state = self.state.lock();
        // The entry that left made room for this one: a slot that is GONE is as good as a vacant one,
        // and `reserve` keeps half of them vacant.
        state.index.insert(result.addr(), len);
        state.live_bytes = state.live_bytes - old + len;
        drop(state);
        arena.count_outside(len as isize - old as isize, 0);
        // Where it could not be cut it is long enough as it is.
        moved.or((new < old).then_some(at))
    }

    /// Unmaps cached mappings, the oldest first, until they hold `bound` bytes at most.
    pub fn shrink_cache<O: Os>(&self, arena: &Arena<O>, bound: usize) {
        loop {
            let mut state = self.state.lock();
            if state.cached_bytes <= bound {
                return;
            }
            let oldest = state.take(0);
            drop(state);
            arena.count_outside(0, -(oldest.len as isize));
            // SAFETY: it left the cache, so it is this thread's alone.
            unsafe { self.unmap(&arena.os, oldest) };
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
            next = self.state.lock().stuck.pop(0, 1);
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
            cached: state.cached,
            cached_bytes: state.cached_bytes,
        }
    }

    /// In the child of a fork.
    ///
    /// # Safety
    /// The calling thread is the process's only one and is inside no call of the allocator.
    pub unsafe fn repair_after_fork(&self) {
        if self.state.is_locked() {
            // SAFETY: the holder was a thread of the parent.
            unsafe { self.state.force_unlock() };
            let mut state = self.state.lock();
            state.index.recount();
            // Whether the cache is whole is not known: its mappings stay, unused.
            state.cached = 0;
            state.cached_bytes = 0;
            state.stuck = Stuck::new();
        }
    }

    #[cfg(test)]
    pub fn hold_lock(&self) -> impl Sized + '_ {
        self.state.lock()
    }

    fn keep<O: Os>(&self, arena: &Arena<O>, mapping: Mapping) -> bool {
        let kept = self.state.lock().put(mapping);
        if kept {
            arena.count_outside(0, mapping.len as isize);
        }
        kept
    }

    /// A cached mapping made to fit: the smallest that is long enough, cut; else the longest, grown.
    fn reuse<O: Os>(&self, arena: &Arena<O>, len: usize, align: usize) -> Option<Mapping> {
        let mut state = self.state.lock();
        if let Some(mapping) = state.stuck.pop(len, align) {
            return Some(mapping);
        }
        let cache = state.cache.first(state.cached);
        let long_enough = |mapping: &Mapping| mapping.at.addr().is_multiple_of(align) && mapping.len >= len;
        let (at, _) = (cache.iter().enumerate())
            .filter(|(_, mapping)| long_enough(mapping))
            .min_by_key(|(_, mapping)| mapping.len)
            .or_else(|| {
                // Growing may move the mapping, to a multiple of a page only.
                let may_grow = align <= arena.os.page();
                cache.iter().enumerate().filter(|_| may_grow).max_by_key(|(_, mapping)| mapping.len)
            })?;
        let found = state.take(at);
        drop(state);
        arena.count_outside(0, -(found.len as isize));
        if found.len >= len {
            let rest = Mapping { at: found.at.wrapping_add(len), len: found.len - len };
            if rest.len < CUT_MIN.max(len / 16) {
                return Some(found);
            }
            if !self.keep(arena, rest) {
                // SAFETY: the end of a mapping that is this thread's alone.
                unsafe { self.unmap(&arena.os, rest) };
            }
            return Some(Mapping { at: found.at, len });
        }
        // SAFETY: this thread's alone.
        match unsafe { arena.os.remap(found.at, found.len, len) } {
            Some(at) => {
                // A program that uses large blocks again and again fills them: the rest of this one comes by
                // huge pages. All of it is asked for, so that it stays one mapping.
                if len >= 2 * HUGE_PAGE {
                    // SAFETY: as above.
                    unsafe { arena.os.advise_huge(at, len) };
                }
                Some(Mapping { at, len })
            }
            None => {
                // SAFETY: as above.
                unsafe { self.unmap(&arena.os, found) };
                None
            }
        }
    }
}

impl State {
    /// Adds a mapping to the cache, as one with those it touches. False where the cache is full.
    fn put(&mut self, mapping: Mapping) -> bool {
        let mut whole = mapping;
        let mut at = 0;
        while at < self.cached {
            let other = self.cache[at];
            let below = other.at.wrapping_add(other.len) == whole.at;
            if below || whole.at.wrapping_add(whole.len) == other.at {
                whole = Mapping { at: if below { other.at } else { whole.at }, len: whole.len + other.len };
                self.take(at);
                at = 0;
            } else {
                at += 1;
            }
        }
        if self.cached == CACHED_MAX {
            return false;
        }
        self.cache[self.cached] = whole;
        self.cached += 1;
        self.cached_bytes += whole.len;
        true
    }

    fn take(&mut self, at: usize) -> Mapping {
        let mapping = self.cache[at];
        self.cached -= 1;
        for at in at..self.cached {
            self.cache[at] = self.cache[at + 1];
        }
        self.cached_bytes -= mapping.len;
        mapping
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
