//! The allocator: the floors together, whatever the front. `route` says which of them serves.
#![allow(unsafe_code)]

mod child;
mod examine;
mod freer;
mod may_have;
mod place;
mod route;
mod sampling;
mod sizes;
mod span;
mod threads;

use crate::arena::Arena;
use crate::base::allocated::Allocated;
use crate::heap::Heap;
use crate::heap::registry::{Registry, Tables};
use crate::large::Large;
use crate::os::Os;
use crate::samples::Samples;
use crate::slab::Slab;
pub use freer::Freer;
use sizes::Sizes;
pub use sizes::Unlike;

pub struct Allocator<O: Os> {
    pub arena: Arena<O>,
    pub large: Large,
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
            registry: Registry::new(tables),
            sizes: Sizes::new(),
            samples,
        }
    }

    /// After blocks were freed: what is dirty beyond its bound goes, of the arena first, then inside the
    /// slabs of sparse heaps, and of the cached mappings. With no lock held, since pages go back.
    #[inline]
    pub fn purge_excess(&self) {
        if self.arena.budget.is_over() {
            self.purge_arena();
        }
        if self.arena.budget.is_pressed() {
            self.large.shrink_cache(&self.arena, self.arena.cache_bound(self.arena.share()));
        }
    }

    #[cold]
    #[inline(never)]
    fn purge_arena(&self) {
        self.arena.enforce_bound();
        if self.arena.budget.take_slack() {
            self.registry.purge_slack(&self.arena);
        }
    }

    /// Gives back all that can be: `malloc_trim`. Whether pages went that were free inside of slabs.
    pub fn trim(&self, own: Option<&Heap>) -> bool {
        if let Some(heap) = own {
            heap.give_back(&self.arena, &self.registry);
        }
        self.registry.empty_outboxes(&self.arena);
        let mut any = false;
        self.registry.for_each(|heap| {
            heap.trim_shared(&self.arena);
            any |= heap.purge_pages(&self.arena);
        });
        self.large.shrink_cache(&self.arena, 0);
        self.arena.purge_all();
        any
    }

    /// Gives back everything but the blocks that are with the program, for a library that is unloaded.
    ///
    /// # Safety
    /// No thread is inside of the allocator, or enters it from here on.
    pub unsafe fn unload(&self) {
        self.registry.empty_outboxes(&self.arena);
        // Twice: what the heaps sent to each other is home then.
        for _ in 0..2 {
            self.registry.for_each(|heap| heap.give_back(&self.arena, &self.registry));
        }
        self.large.shrink_cache(&self.arena, 0);
        let Some(geometry) = self.arena.geometry() else { return };
        // SAFETY: as the caller vouches; the granules asked about are slabs, whose records are there.
        unsafe {
            self.large.unload(&self.arena.os);
            self.arena.unload(|granule, part| Slab::is_used(&geometry, granule, part));
            self.registry.unload(&self.arena);
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
