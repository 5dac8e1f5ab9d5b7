//! The allocator: where each request goes, whatever the front.
//!
//! ```text
//!   size, alignment ─┬─ at most 32 KiB ──────────► a class of the thread's heap
//!                    ├─ below the threshold ─────► a span of the arena
//!                    └─ the threshold and above ─► a mapping
//!   pointer ─┬─ in the window ─► page map: a slab's class │ a span
//!            └─ elsewhere ─────► a large mapping, or nobody's
//! ```

mod place;
mod sizes;

use crate::arena::Arena;
use crate::arena::page_map::Entry;
use crate::config::{ADDRESSES, GRANULE, GRANULE_SHIFT, Tunables};
use crate::fatal;
use crate::heap::owner::Fresh;
use crate::heap::registry::Registry;
use crate::heap::{EMPTY, EXITED, Heap};
use crate::large::{Large, LargeBlock, Shortcuts};
use crate::os::Os;
use crate::os::thread::ThreadWord;
use crate::size_class;
use crate::units::{Bytes, GranuleIdx, Granules, Run, SizeClass};
use core::ffi::c_void;
use place::Place;
use sizes::Sizes;
pub use sizes::Unlike;

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
    pub const fn new(os: O) -> Self {
        Allocator {
            arena: Arena::new(os),
            large: Large::new(),
            registry: Registry::new(),
            tunables: Tunables::new(),
            sizes: Sizes::new(),
        }
    }

    /// The slow path of a class: the fast path found no block in `heap`, or the thread has none. Then a heap
    /// of another serves.
    pub fn alloc_class(&self, heap: Option<&Heap>, class: SizeClass) -> Option<Allocated> {
        let fresh = match heap {
            Some(heap) => heap.alloc_slow(&self.arena, class),
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
        let geometry = self.arena.start()?;
        if size.max(align) > geometry.window / 2 {
            return None;
        }
        let len = Granules(size.max(1).div_ceil(GRANULE) as u32);
        if len > Entry::SPAN_MAX {
            return None;
        }
        let align = Granules(align.div_ceil(GRANULE) as u32);
        let run = self.arena.alloc_run(len, align)?;
        for granule in run.head.0..run.head.0 + run.len.0 {
            let entry = if granule == run.head.0 { Entry::span(run.len) } else { Entry::SPAN_BODY };
            // SAFETY: the run is this thread's, and inside the arena.
            unsafe { geometry.map.set(granule as usize, entry) };
        }
        let block = geometry.base.wrapping_add((run.head.0 as usize) << GRANULE_SHIFT);
        Some(Allocated::new(block, run.zeroed))
    }

    /// The page-map entry of a pointer into the arena, with its granule. A mapping may lie inside the
    /// window too, where the arena is not: its entry is FREE, or that of a hole that the arena grew across.
    fn entry_of(&self, block: *mut u8) -> Option<(GranuleIdx, Entry)> {
        let geometry = self.arena.geometry()?;
        let offset = block.addr().wrapping_sub(geometry.base.addr());
        if offset >= geometry.window {
            return None;
        }
        let granule = offset >> GRANULE_SHIFT;
        // SAFETY: inside the window, as just tested.
        let entry = unsafe { geometry.map.get(granule) };
        (entry != Entry::FREE && entry != Entry::HOLE).then_some((GranuleIdx(granule as u32), entry))
    }

    /// Frees a block that the fast path did not take: its magazine is full, it is a span or a mapping, or the
    /// thread has no heap.
    ///
    /// # Safety
    /// `block` is a live block of this allocator, not null, given up by the caller.
    pub unsafe fn free_slow(&self, heap: Option<&Heap>, block: *mut u8) {
        match self.entry_of(block) {
            // SAFETY: as the caller vouches.
            None => unsafe {
                if !self.large.free(&self.arena, block) {
                    fatal::invalid_free(c"free(): invalid pointer");
                }
                self.arena.enforce_bound();
            },
            Some((granule, entry)) => {
                if let Some((owner, class)) = entry.as_slab() {
                    match heap {
                        Some(heap) => heap.free_slow(&self.arena, &self.registry, entry, block),
                        None => self.registry.heap(owner).receive_one(&self.arena, class, block),
                    }
                    self.relieve();
                } else if let Some(len) = entry.as_span()
                    && block.addr().is_multiple_of(GRANULE)
                {
                    self.free_span(Run { head: granule, len, zeroed: false });
                } else {
                    fatal::invalid_free(c"free(): invalid pointer");
                }
            }
        }
    }

    fn free_span(&self, run: Run) {
        let geometry = self.arena.started();
        for granule in run.head.0..run.head.0 + run.len.0 {
            // SAFETY: the span's granules, whose block was given up.
            unsafe { geometry.map.set(granule as usize, Entry::FREE) };
        }
        self.arena.free_run(run, Bytes(GRANULE));
        self.relieve();
    }

    /// After runs were freed: what is dirty beyond its bound goes, of the arena first and then of the cached
    /// mappings. With no lock held, since pages go back.
    pub fn relieve(&self) {
        if self.arena.is_over() {
            self.arena.enforce_bound();
        }
        if self.arena.is_pressed() {
            self.large.shrink_cache(&self.arena, self.arena.cache_bound());
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
            self.cut_span(head, len, want);
        } else if want > len && !self.extend_span(head, len, want) {
            return copy;
        }
        Resized::To(block)
    }

    fn resize_small(&self, block: *mut u8, class: SizeClass, size: usize) -> Resized {
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

    /// Makes a span longer in place; false where what lies behind it is not free.
    fn extend_span(&self, head: GranuleIdx, len: Granules, want: Granules) -> bool {
        if !self.arena.extend_run(head, len, Granules(want.0 - len.0)) {
            return false;
        }
        let geometry = self.arena.started();
        // SAFETY: the granules were gained for this span a moment ago.
        unsafe {
            for added in head.0 + len.0..head.0 + want.0 {
                geometry.map.set(added as usize, Entry::SPAN_BODY);
            }
            geometry.map.set(head.0 as usize, Entry::span(want));
        }
        true
    }

    /// Gives the end of a span back.
    fn cut_span(&self, head: GranuleIdx, len: Granules, want: Granules) {
        let geometry = self.arena.started();
        // SAFETY: the span's granules; the block's owner is resizing it, so nobody else reads the entry.
        unsafe { geometry.map.set(head.0 as usize, Entry::span(want)) };
        self.free_span(Run {
            head: GranuleIdx(head.0 + want.0),
            len: Granules(len.0 - want.0),
            zeroed: false,
        });
    }

    /// The heap of the calling thread, claimed where it has none. None in a thread whose exit hook ran,
    /// and where there can be no more heaps.
    #[inline]
    pub fn attach<W: ThreadWord>(&self, on_new: impl FnOnce(&Heap)) -> Option<&Heap> {
        let word: *const Heap = W::get().cast();
        if core::ptr::eq(word, &EXITED) {
            return None;
        }
        if !core::ptr::eq(word, &EMPTY) {
            // SAFETY: a thread's word is EMPTY, EXITED or its heap, and heaps are never unmade.
            return Some(unsafe { &*word });
        }
        self.attach_new::<W>(on_new)
    }

    #[cold]
    #[inline(never)]
    fn attach_new<W: ThreadWord>(&self, on_new: impl FnOnce(&Heap)) -> Option<&Heap> {
        let heap = self.registry.claim(&self.arena)?;
        // Before anything that may allocate.
        W::set(core::ptr::from_ref(heap).cast::<c_void>().cast_mut());
        on_new(heap);
        Some(heap)
    }

    /// Ends the calling thread's use of its heap.
    ///
    /// # Safety
    /// `heap` is the calling thread's, which does not use it again.
    pub unsafe fn detach<W: ThreadWord>(&self, heap: &Heap) {
        W::set(core::ptr::from_ref(&EXITED).cast::<c_void>().cast_mut());
        heap.give_up(&self.arena, &self.registry);
        // SAFETY: as the caller vouches.
        unsafe { self.registry.park(heap) };
        self.relieve();
    }

    /// Gives back all that can be: `malloc_trim`.
    pub fn trim(&self, own: Option<&Heap>) {
        if let Some(heap) = own {
            heap.give_back(&self.arena, &self.registry);
        }
        self.registry.for_each(|heap| heap.trim_shared(&self.arena));
        self.large.shrink_cache(&self.arena, 0);
        self.arena.purge_all();
    }

    /// In the child of a fork: takes everything up as the only thread.
    ///
    /// # Safety
    /// The calling thread is the process's only one, its heap is `heap`, and it is inside no call of the
    /// allocator.
    pub unsafe fn repair_after_fork(&self, heap: &Heap) {
        // SAFETY: as the caller vouches. The arena first: the heaps ask it for their slabs.
        unsafe {
            self.arena.repair_after_fork();
            self.large.repair_after_fork(&self.arena);
            self.registry.repair_after_fork(&self.arena, heap.id());
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
