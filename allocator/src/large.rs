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
//! One lock guards what is known of them (`state`). A call decides under it, once, and gets a plan: what to
//! map, move, keep and unmap. It carries that out without the lock, and enters what came of it. The lock is
//! held across a system call only where the index grows, which is rare. A block's address leaves the index
//! before its mapping goes, because the kernel may hand the address to another thread at once.
//!
//! Invariant I16: a mapping is exactly one of: a block, in the cache, among those that the kernel refused to
//! unmap, or one call's alone, on its way between these.
//!
//! | call | takes the lock |
//! | --- | --- |
//! | alloc | once where the cache serves, else twice |
//! | free | once where the block is unmapped, twice where it is cached |
//! | resize | once where it stays or is refused, twice where it is remapped |
#![allow(unsafe_code)]

mod cache;
pub mod index;
mod leaving;
mod mapping;
pub mod parts;
mod recycle;
mod state;
mod stuck;

use crate::arena::{Arena, Share};
use crate::base::allocated::Allocated;
use crate::base::units::{Bytes, round_up};
use crate::base::why::{Cause, Reason, Why};
use crate::os::Os;
use crate::os::aligned::map_aligned;
use crate::sync::lock::{Guard, Inherited, Lock};
use leaving::Leaving;
use mapping::Mapping;
use state::{Found, Resizing, State};
pub use state::{Growth, LargeFigures, Refusal};

const LARGE: Why = Reason::Large.by(Cause::Large);
const HUGE: Why = Reason::Huge.by(Cause::Large);

pub struct Large {
    state: Lock<State>,
    /// How often the lock was taken.
    #[cfg(test)]
    pub locked: core::sync::atomic::AtomicUsize,
}

impl Large {
    pub const fn new() -> Self {
        Large {
            state: Lock::new(State::new()),
            #[cfg(test)]
            locked: core::sync::atomic::AtomicUsize::new(0),
        }
    }

    #[inline(always)]
    fn lock(&self) -> Guard<'_, State> {
        #[cfg(test)]
        self.locked.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        self.state.lock()
    }

    /// A block of at least `size` bytes at a multiple of `align`, and how long its mapping is.
    pub fn alloc<O: Os>(&self, arena: &Arena<O>, size: usize, align: usize) -> Option<(Allocated, Bytes)> {
        let pages = round_up(size.max(1), arena.os.page())?;
        let (len, found) = self.lock().find(arena, pages, align)?;
        let (mapping, fresh) = match found {
            Found::Whole(mapping) => {
                return Some((Allocated::unknown(mapping.at), Bytes(mapping.len)));
            }
            Found::Short(cached) => match self.stretch(arena, cached, len) {
                Some(mapping) => (mapping, len - cached.len),
                None => (Mapping { at: map_aligned(&arena.os, len, align, LARGE)?, len }, len),
            },
            Found::Nothing => (Mapping { at: map_aligned(&arena.os, len, align, LARGE)?, len }, len),
        };
        let mut state = self.lock();
        if !state.enter(arena, mapping) {
            let mut leaving = Leaving::none();
            state.leave(arena, mapping, &mut leaving);
            drop(state);
            // SAFETY: mapped above, handed to nobody.
            unsafe { self.unmap_all(&arena.os, &leaving, LARGE) };
            return None;
        }
        let long = fresh == mapping.len && state.recycle.takes_long(mapping.len);
        let huge = state.recycle.spend(mapping.len, fresh) || long;
        drop(state);
        arena.note_taken(Bytes(fresh));
        if huge {
            // SAFETY: a block that was handed to nobody yet. All of it is asked for, so that it stays one
            // mapping.
            unsafe { arena.os.advise_huge(mapping.at, mapping.len, HUGE) };
        }
        Some((Allocated { block: mapping.at, zeroed_from: mapping.len - fresh }, Bytes(mapping.len)))
    }

    /// Makes a mapping that left the cache longer. None where the kernel refuses: of two mappings that it did
    /// not join, for example. Then it is in the cache again, for it may serve as it is.
    fn stretch<O: Os>(&self, arena: &Arena<O>, cached: Mapping, len: usize) -> Option<Mapping> {
        // SAFETY: it left the cache, so it is this call's alone (I16).
        if let Some(at) = unsafe { arena.os.remap(cached.at, cached.len, len, LARGE) } {
            return Some(Mapping { at, len });
        }
        let mut leaving = Leaving::none();
        self.lock().put(arena, cached, &mut leaving);
        // SAFETY: what leaves is this call's alone (I16).
        unsafe { self.unmap_all(&arena.os, &leaving, LARGE) };
        None
    }

    /// Usable bytes of a large block; None where the pointer is none.
    pub fn usable(&self, block: *mut u8) -> Option<usize> {
        self.lock().index.get(block.addr())
    }

    /// Frees a large block. False where the pointer is none. `share` was asked for before.
    ///
    /// # Safety
    /// The caller gives the block up.
    pub unsafe fn free<O: Os>(&self, arena: &Arena<O>, share: Share, block: *mut u8) -> bool {
        let mut leaving = Leaving::none();
        let Some((kept, bound)) = self.lock().remove(arena, share, block, &mut leaving) else { return false };
        let more = leaving.is_full();
        // SAFETY: it left the index, so it is this call's alone (I16).
        unsafe {
            self.unmap_all(&arena.os, &leaving, LARGE);
            if kept.len > 0 {
                self.keep(arena, kept, bound);
            } else if more {
                self.shrink_cache(arena, bound, Cause::Large);
            }
        }
        true
    }

    /// Puts a freed mapping into the cache, and has what is too much there go.
    ///
    /// # Safety
    /// The mapping is this thread's alone, and nothing in it is needed.
    unsafe fn keep<O: Os>(&self, arena: &Arena<O>, mapping: Mapping, bound: usize) {
        // The next owner is to get a block like any other, whatever this one did to its pages.
        // SAFETY: as the caller vouches.
        let plain = unsafe { arena.os.make_plain(mapping.at, mapping.len, Reason::Cache.by(Cause::Large)) };
        let mut leaving = Leaving::none();
        let mut state = self.lock();
        if plain {
            state.put(arena, mapping, &mut leaving);
        } else {
            state.leave(arena, mapping, &mut leaving);
        }
        state.take_excess(arena, bound, &mut leaving);
        drop(state);
        let more = leaving.is_full();
        // SAFETY: as the caller vouches, and what left the cache is this thread's alone.
        unsafe { self.unmap_all(&arena.os, &leaving, Reason::Cache.by(Cause::Large)) };
        if more {
            self.shrink_cache(arena, bound, Cause::Large);
        }
    }

    /// Changes a large block to at least `size` bytes, moving its pages where it must. The block, and how
    /// long its mapping is.
    ///
    /// # Safety
    /// The caller owns the block, and where it succeeds uses the result in its stead.
    pub unsafe fn resize<O: Os>(
        &self,
        arena: &Arena<O>,
        block: *mut u8,
        size: usize,
        growth: Growth,
    ) -> Result<(*mut u8, Bytes), Refusal> {
        let plan = self.lock().plan_resize(arena, block, size, growth)?;
        let (old, new) = match plan {
            Resizing::Done { len } => return Ok((block, Bytes(len))),
            Resizing::Remap { from, to } => (from, to),
        };
        // SAFETY: a live mapping of ours that its owner wants changed; out of the index meanwhile.
        let moved = unsafe { arena.os.remap(old.at, old.len, new, Reason::Realloc.by(Cause::Large)) };
        let now = moved.map_or(old, |at| Mapping { at, len: new });
        let mut state = self.lock();
        state.enter_again(arena, old, now);
        let huge = now.len > old.len && state.recycle.spend(now.len, now.len - old.len);
        drop(state);
        arena.note_taken(Bytes(now.len.saturating_sub(old.len)));
        if huge {
            // SAFETY: the caller's block, as above. All of it is asked for, so that it stays one mapping.
            unsafe { arena.os.advise_huge(now.at, now.len, HUGE) };
        }
        // Where it could not be cut it is long enough as it is.
        if moved.is_none() && new > old.len {
            return Err(Refusal::NoMemory { usable: old.len });
        }
        Ok((now.at, Bytes(now.len)))
    }

    /// Unmaps what lay in the cache since the last call.
    pub fn purge_idle<O: Os>(&self, arena: &Arena<O>) -> Bytes {
        let mut state = self.lock();
        let bound = state.cache.bytes() - state.cache.take_idle().min(state.cache.bytes());
        drop(state);
        let went = self.shrink_cache(arena, bound, Cause::Idle);
        self.lock().cache.take_idle();
        went
    }

    /// Unmaps cached mappings, the oldest first, until they hold `bound` bytes at most.
    pub fn shrink_cache<O: Os>(&self, arena: &Arena<O>, bound: usize, cause: Cause) -> Bytes {
        let (why, mut went) = (Reason::Cache.by(cause), 0);
        loop {
            let mut leaving = Leaving::none();
            self.lock().take_excess(arena, bound, &mut leaving);
            let more = leaving.is_full();
            // SAFETY: they left the cache, so they are this call's alone (I16).
            unsafe { self.unmap_all(&arena.os, &leaving, why) };
            went += leaving.mappings().iter().map(|mapping| mapping.len).sum::<usize>();
            if !more {
                return Bytes(went);
            }
        }
    }

    /// Unmaps mappings for good. Where the kernel refuses (its count of mappings is full) the pages go and
    /// the addresses wait: for a large request that fits, or for the next mapping that is unmapped.
    ///
    /// # Safety
    /// The mappings are this thread's alone, and nothing in them is needed.
    #[inline]
    unsafe fn unmap_all<O: Os>(&self, os: &O, leaving: &Leaving, why: Why) {
        // Mostly none leaves.
        if !leaving.mappings().is_empty() {
            // SAFETY: as the caller vouches.
            unsafe { self.unmap_each(os, leaving, why) };
        }
    }

    /// # Safety
    /// As for `unmap_all`.
    #[inline(never)]
    unsafe fn unmap_each<O: Os>(&self, os: &O, leaving: &Leaving, why: Why) {
        let mut went = 0;
        for &mapping in leaving.mappings() {
            // SAFETY: as the caller vouches.
            if unsafe { os.unmap(mapping.at, mapping.len, why) } {
                went += 1;
                continue;
            }
            // SAFETY: as the caller vouches. Where this is refused too, the pages stay.
            unsafe { os.purge(mapping.at, mapping.len, why) };
            // SAFETY: as the caller vouches: from here on it is among those (I16).
            unsafe { self.lock().stuck.push(mapping) };
        }
        if leaving.others_wait() {
            // Two of those that wait go with each that went, so they become fewer.
            self.unmap_stuck(os, 2 * went);
        }
    }

    #[cold]
    fn unmap_stuck<O: Os>(&self, os: &O, most: usize) {
        for _ in 0..most {
            let Some(mapping) = self.lock().stuck.pop(0, 1) else { return };
            // SAFETY: what waits is this allocator's alone, and nothing in it is needed.
            unsafe {
                if !os.unmap(mapping.at, mapping.len, LARGE) {
                    return self.lock().stuck.push(mapping);
                }
            }
        }
    }

    pub fn figures(&self) -> LargeFigures {
        self.lock().figures()
    }

    /// Unmaps the table of the blocks, which stay, for a library that is unloaded.
    ///
    /// # Safety
    /// No thread is inside of the allocator, or enters it from here on.
    pub unsafe fn unload<O: Os>(&self, os: &O) {
        self.lock().index.unmap(os);
    }

    /// In the child of a fork.
    ///
    /// # Safety
    /// As for `Allocator::repair_after_fork`.
    pub unsafe fn repair_after_fork<O: Os>(&self, arena: &Arena<O>) {
        // What is live and cached is counted under the lock: where nobody held it, the sums are right.
        // SAFETY: as the caller vouches.
        if unsafe { self.state.inherit() } == Inherited::Torn {
            self.lock().recount(arena);
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
}
