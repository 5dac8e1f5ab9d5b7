//! The allocator: where each request goes, whatever the front.
//!
//! ```text
//!   size, alignment ─┬─ at most 32 KiB ──────────► a class of the thread's heap
//!                    ├─ below the threshold ─────► a span of the arena
//!                    └─ the threshold and above ─► a mapping
//!   pointer ─┬─ the page map knows it ─► a slab's class │ a span
//!            └─ it does not ──────────► a large mapping, or nobody's
//! ```

mod child;
mod examine;
mod place;
mod sizes;
mod threads;

use crate::arena::Arena;
use crate::arena::page_map::Entry;
use crate::config::{ADDRESSES, GRANULE, GRANULE_SHIFT, Tunables};
use crate::fatal;
use crate::heap::Heap;
use crate::heap::owner::Fresh;
use crate::heap::registry::{Registry, Tables};
use crate::large::{Large, LargeBlock, Shortcuts};
use crate::os::Os;
use crate::size_class;
use crate::slab::Slab;
use crate::units::{Bytes, GranuleIdx, Granules, Run, SizeClass};
use place::Place;
use sizes::Sizes;
pub use sizes::Unlike;
pub use threads::Freer;

pub struct Allocator<O: Os> {
    pub arena: Arena<O>,
    pub large: Large,
    pub registry: Registry,
    pub tunables: Tunables,
    pub sizes: Sizes,
}

/// What a request got.
pub struct Allocated {
    pub block: *mut u8,
    /// How many bytes from its start may be other than zero.
    pub soiled: usize,
}

impl Allocated {
    /// A block that reads as zero, or one of which nothing is known.
    pub fn new(block: *mut u8, zeroed: bool) -> Allocated {
        Allocated { block, soiled: if zeroed { 0 } else { usize::MAX } }
    }
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
    pub const fn new(os: O, tables: &'static Tables) -> Self {
        Allocator {
            arena: Arena::new(os),
            large: Large::new(),
            registry: Registry::new(tables),
            tunables: Tunables::new(),
            sizes: Sizes::new(),
        }
    }

    /// The slow path of a class: the fast path found no block in `heap`, or the thread has none. Then a heap
    /// of another serves.
    pub fn alloc_class(&self, heap: Option<&Heap>, class: SizeClass) -> Option<Allocated> {
        let class = class.max(size_class::LEAST);
        let fresh = match heap {
            Some(heap) => {
                self.registry.stop_freeing(heap);
                heap.alloc_slow(&self.arena, class)
            }
            None => self.registry.lender(class)?.lend(&self.arena, class),
        };
        // A refill may have emptied a depot.
        if self.arena.is_over() {
            self.relieve();
        }
        fresh.map(|Fresh { block, zeroed }| Allocated::new(block, zeroed))
    }

    /// A request that no class serves: a span or a mapping.
    pub fn alloc_big(&self, size: usize, align: usize) -> Option<Allocated> {
        if size > ADDRESSES {
            return None;
        }
        if size < self.tunables.mmap_threshold() && align <= GRANULE * 16 {
            return self.alloc_span(size, align);
        }
        match self.large.alloc(&self.arena, size, align) {
            Some(LargeBlock { block, soiled, len }) => {
                self.note_mapping(size, len);
                Some(Allocated { block, soiled })
            }
            // A limit may refuse new mappings where the arena has free addresses enough.
            None => self.alloc_span(size, align),
        }
    }

    fn alloc_span(&self, size: usize, align: usize) -> Option<Allocated> {
        let granules = |bytes: usize| bytes.div_ceil(GRANULE).try_into().ok().map(Granules);
        let len = granules(size.max(1)).filter(|&len| len <= Entry::SPAN_MAX)?;
        let run = self.arena.alloc_run(len, granules(align)?, Entry::span(len))?;
        Some(Allocated::new(self.arena.started().start(run.head), run.zeroed))
    }

    /// The page-map entry of a pointer into the arena, with its granule. Elsewhere it is FREE, a large
    /// mapping in the middle of the arena included.
    fn entry_of(&self, block: *mut u8) -> Option<(GranuleIdx, Entry)> {
        let geometry = self.arena.geometry()?;
        let entry = self.arena.entry_at(geometry, block.addr());
        (entry != Entry::FREE).then(|| (geometry.granule_of(block.addr()), entry))
    }

    /// Frees a block that the fast path did not take: its magazine is full, it is a span or a mapping, or the
    /// thread has no heap.
    ///
    /// # Safety
    /// `block` is a live block of this allocator, not null, given up by the caller.
    pub unsafe fn free_slow(&self, freer: Freer, block: *mut u8) {
        if let Freer::Heap(heap) = freer
            && heap.follow_window(&self.arena)
            && heap.push(block)
        {
            return;
        }
        match self.entry_of(block) {
            Some((_, entry)) if entry.as_slab().is_some() => {
                self.free_small(freer, entry, block);
            }
            // SAFETY: as the caller vouches.
            place => unsafe { self.free_big(place, block) },
        }
    }

    /// Frees a block of a slab, of the entry `entry`.
    #[inline]
    fn free_small(&self, freer: Freer, entry: Entry, block: *mut u8) {
        let (arena, registry) = (&self.arena, &self.registry);
        match freer {
            Freer::Heap(heap) => heap.free_slow(arena, registry, entry, block),
            Freer::Visitor => registry.send_home(arena, block),
            Freer::Consumer => registry.outboxes().put(arena, registry, entry.class(), block),
        }
        self.relieve();
    }

    /// Frees a span, which has a place in the arena, or a mapping.
    ///
    /// # Safety
    /// As for `free_slow`.
    unsafe fn free_big(&self, place: Option<(GranuleIdx, Entry)>, block: *mut u8) {
        let span = place.and_then(|(head, entry)| Some(Run { head, len: entry.as_span()?, zeroed: false }));
        match span {
            // SAFETY: as the caller vouches.
            None if place.is_none() && unsafe { self.large.free(&self.arena, block) } => {
                self.arena.enforce_bound()
            }
            Some(run) if block.addr().is_multiple_of(GRANULE) => self.free_span(run),
            _ => fatal::wrong_use(c"free(): invalid pointer", block),
        }
    }

    fn free_span(&self, run: Run) {
        self.arena.free_run(run, Bytes(GRANULE));
        self.relieve();
    }

    /// After blocks were freed: what is dirty beyond its bound goes, of the arena first, then inside the
    /// slabs of sparse heaps, and of the cached mappings. With no lock held, since pages go back.
    #[inline]
    pub fn relieve(&self) {
        if self.arena.is_over() {
            self.relieve_arena();
        }
        if self.arena.is_pressed() {
            self.large.shrink_cache(&self.arena, self.arena.cache_bound());
        }
    }

    #[cold]
    #[inline(never)]
    fn relieve_arena(&self) {
        self.arena.enforce_bound();
        if self.arena.take_slack() {
            self.registry.purge_slack(&self.arena);
        }
    }

    /// Usable bytes of the block that begins at a pointer; None where none does.
    #[inline]
    pub fn usable(&self, block: *mut u8) -> Option<usize> {
        self.usable_at(self.place_of(block), block)
    }

    /// Changes a block's size without copying it, where its class, span or mapping allows.
    ///
    /// # Safety
    /// The block that begins at the pointer, if one does, is the caller's; where it was resized the caller
    /// uses the result in its stead.
    pub unsafe fn resize(&self, block: *mut u8, size: usize) -> Resized {
        let (head, len) = match self.place_of(block) {
            Place::Small(class) => return self.resize_small(block, class, size),
            Place::Span(head, len) => (head, len),
            Place::Astray => return Resized::NoBlock,
            // SAFETY: as the caller vouches.
            Place::Outside => return unsafe { self.resize_large(block, size) },
        };
        let copy = Resized::Copy { usable: (len.0 as usize) << GRANULE_SHIFT };
        if size <= size_class::CLASS_MAX || size >= self.tunables.mmap_threshold() {
            return copy;
        }
        let want = Granules(size.div_ceil(GRANULE) as u32);
        if want < len {
            self.arena.cut_run(head, len, want);
            self.relieve();
        } else if want > len && !self.arena.extend_run(head, len, Granules(want.0 - len.0)) {
            return copy;
        }
        Resized::To(block)
    }

    /// The same for a block of a class.
    #[inline]
    pub fn resize_small(&self, block: *mut u8, class: SizeClass, size: usize) -> Resized {
        let usable = size_class::bytes(class);
        if size > usable {
            return Resized::Copy { usable };
        }
        // It has the smallest class there is for its bytes.
        if size_class::of(size) == class {
            return Resized::To(block);
        }
        // One that stays at least half used is not worth a copy.
        if size * 2 >= usable {
            self.sizes.note(Unlike::Halved);
            return Resized::To(block);
        }
        Resized::Copy { usable }
    }

    /// Makes a block longer for which a copy was advised, where there is no memory for the copy: a mapping
    /// can grow where it is, or move with its pages. None where that fails too.
    ///
    /// # Safety
    /// As for `resize`.
    pub unsafe fn resize_without_copy(&self, block: *mut u8, size: usize) -> Option<*mut u8> {
        if self.entry_of(block).is_some() || size > ADDRESSES {
            return None;
        }
        // SAFETY: as the caller vouches.
        unsafe { self.large.realloc(&self.arena, block, size, Shortcuts::None) }
    }

    /// # Safety
    /// As for `resize`.
    unsafe fn resize_large(&self, block: *mut u8, size: usize) -> Resized {
        // A mapping stays one while it is at least half the threshold: below, it is worth moving.
        if (self.tunables.mmap_threshold() / 2..=ADDRESSES).contains(&size) {
            // SAFETY: as the caller vouches.
            if let Some(resized) = unsafe { self.large.realloc(&self.arena, block, size, Shortcuts::Copies) }
            {
                self.note_mapping(size, self.large.usable(resized).unwrap_or(size));
                return Resized::To(resized);
            }
        }
        self.large.usable(block).map_or(Resized::NoBlock, |usable| Resized::Copy { usable })
    }

    /// Gives back all that can be: `malloc_trim`. Whether pages went that were free inside of slabs.
    pub fn trim(&self, own: Option<&Heap>) -> bool {
        if let Some(heap) = own {
            heap.give_back(&self.arena, &self.registry);
        }
        self.registry.outboxes().empty(&self.arena, &self.registry);
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
        self.registry.outboxes().empty(&self.arena, &self.registry);
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
    let Some(Allocated { block, soiled }) = allocated else { return core::ptr::null_mut() };
    let dirty = size.min(soiled);
    // SAFETY: the block is at least `size` bytes, and this call's alone.
    unsafe { block.write_bytes(0, dirty) };
    block
}

#[cfg(test)]
mod tests;
