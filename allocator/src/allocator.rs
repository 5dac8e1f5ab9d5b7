//! The allocator: the floors together, whatever the front. `route` says which of them serves.
#![allow(unsafe_code)]

mod child;
mod examine;
mod freer;
mod may_have;
mod medium;
mod place;
pub mod residency;
mod route;
mod sampling;
mod sizes;
mod span;
pub mod stats;
mod threads;

use crate::arena::Arena;
use crate::base::allocated::Allocated;
use crate::base::units::Bytes;
use crate::base::why::Cause;
use crate::heap::Heap;
use crate::heap::registry::{Registry, Tables};
use crate::large::Large;
use crate::medium::Medium;
use crate::os::Os;
use crate::samples::Samples;
use crate::slab::Slab;
pub use freer::Freer;
use sizes::Sizes;
pub use sizes::Unlike;

/// Pages that went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trimmed {
    /// Of slabs that stay.
    pub inside_slabs: Bytes,
    /// Of free runs, and of cached mappings.
    pub elsewhere: Bytes,
}

pub struct Allocator<O: Os> {
    pub arena: Arena<O>,
    pub large: Large,
    pub medium: Medium,
    pub registry: Registry,
    pub sizes: Sizes,
    pub samples: &'static Samples,
}

/// What became of a resize.
pub enum Resized {
    /// The block has its new size, here.
    To(*mut u8),
    /// It is as it was, with this many usable bytes: a copy must be made.
    Copy { usable: usize },
    /// No block begins at the pointer.
    NoBlock,
}

impl<O: Os> Allocator<O> {
    pub const fn new(os: O, tables: &'static Tables, samples: &'static Samples) -> Self {
        Allocator {
            arena: Arena::new(os),
            large: Large::new(),
            medium: Medium::new(),
            registry: Registry::new(tables),
            sizes: Sizes::new(),
            samples,
        }
    }

    /// After blocks were freed: what is dirty beyond its bound goes, of the arena first, then inside the
    /// slabs of sparse heaps, and of the cached mappings. With no lock held, since pages go back.
    #[inline]
    pub fn purge_excess(&self, cause: Cause) {
        if self.arena.budget.is_held() {
            self.arena.look_at_swing();
        }
        if self.arena.budget.is_over() {
            self.purge_arena(cause);
        }
        self.purge_pressed(cause);
    }

    /// The same where the arena had nothing left to purge: of chunks, and of the cached mappings.
    #[inline]
    fn purge_pressed(&self, cause: Cause) {
        if !self.arena.budget.is_pressed() {
            return;
        }
        // Before this thread looks: what is noted from here on stays noted.
        self.arena.budget.clear_pressed();
        if self.arena.is_exceeded() {
            self.medium.purge(&self.arena, self.arena.chunks_target(), cause);
        }
        self.large.shrink_cache(&self.arena, self.arena.cache_bound(self.arena.share()), cause);
        if self.arena.is_exceeded() {
            self.arena.budget.note_pressed();
        }
    }

    #[cold]
    #[inline(never)]
    fn purge_arena(&self, cause: Cause) {
        self.arena.enforce_bound(cause);
        if self.arena.budget.take_slack() {
            self.registry.purge_slack(&self.arena);
        }
    }

    /// Gives back all that can be: `malloc_trim`. The pages that went.
    pub fn trim(&self, own: Option<&Heap>) -> Trimmed {
        if let Some(heap) = own {
            heap.give_back(&self.arena, &self.registry, &self.medium);
        }
        self.registry.empty_outboxes(&self.arena);
        let mut inside = 0;
        self.registry.for_each(|heap| {
            heap.trim_shared(&self.arena);
            inside += heap.purge_pages(&self.arena).0;
        });
        let mut elsewhere = self.large.shrink_cache(&self.arena, 0, Cause::Program).0;
        self.medium.retire_empty(&self.arena);
        elsewhere += self.medium.purge(&self.arena, 0, Cause::Program).0;
        elsewhere += self.arena.purge_all(Cause::Program).0;
        Trimmed { inside_slabs: Bytes(inside), elsewhere: Bytes(elsewhere) }
    }

    /// Gives back what lay unused since the last call, as far as that is known.
    pub fn purge_idle(&self) {
        self.registry.for_each(|heap| {
            if heap.slack() > 0 {
                heap.purge_pages(&self.arena);
            }
        });
        self.large.purge_idle(&self.arena);
        self.medium.purge_idle(&self.arena);
        self.arena.purge_idle();
    }

    /// Whether anything free has pages: of the arena, cached, or inside of slabs and worth it.
    pub fn is_dirty(&self) -> bool {
        let cached = self.large.figures().cached_bytes;
        let in_chunks = self.medium.figures().dirty_bytes.0;
        cached > 0 || in_chunks > 0 || self.arena.is_dirty() || self.registry.any(|heap| heap.slack() > 0)
    }

    /// Gives back everything but the blocks that are with the program, for a library that is unloaded.
    ///
    /// # Safety
    /// No thread is inside of the allocator, or enters it from here on.
    pub unsafe fn unload(&self) {
        self.registry.empty_outboxes(&self.arena);
        // Twice: what the heaps sent to each other is home then.
        for _ in 0..2 {
            self.registry.for_each(|heap| heap.give_back(&self.arena, &self.registry, &self.medium));
        }
        self.large.shrink_cache(&self.arena, 0, Cause::Process);
        let Some(geometry) = self.arena.geometry() else { return };
        // SAFETY: as the caller vouches; the granules asked about are slabs, whose records are there.
        unsafe {
            self.large.unload(&self.arena.os);
            self.arena.unload(|granule, entry, part| match entry.in_chunk() {
                Some(place) => Medium::is_used(&geometry, granule, place, part),
                None => Slab::is_used(&geometry, granule, part),
            });
            self.registry.unload(&self.arena);
            self.samples.unload(&self.arena.os);
        }
    }
}

/// Zeroes what is not known to be zero.
pub fn zeroed(allocated: Option<Allocated>, size: usize) -> *mut u8 {
    let Some(Allocated { block, zeroed_from }) = allocated else { return core::ptr::null_mut() };
    // SAFETY: the block is at least `size` bytes, and this call's alone.
    unsafe { block.write_bytes(0, size.min(zeroed_from)) };
    block
}

#[cfg(test)]
mod tests;
