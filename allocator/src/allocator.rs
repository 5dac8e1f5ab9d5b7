//! The allocator: where each request goes, whatever the front.
//!
//! ```text
//!   size, alignment ─┬─ at most 32 KiB ──────────► a class of the thread's heap
//!                    ├─ below the threshold ─────► a span of the arena
//!                    └─ the threshold and above ─► a mapping
//!   pointer ─┬─ in the window ─► page map: a slab's class │ a span
//!            └─ elsewhere ─────► a large mapping, or nobody's
//! ```

use crate::arena::Arena;
use crate::arena::page_map::Entry;
use crate::config::{GRANULE, GRANULE_SHIFT, Tunables};
use crate::fatal;
use crate::heap::owner::Fresh;
use crate::heap::registry::{Registry, Tables};
use crate::heap::{EMPTY, Heap};
use crate::large::{Large, LargeBlock, Shortcuts};
use crate::os::Os;
use crate::os::thread::ThreadWord;
use crate::size_class;
use crate::sync::token::token;
use crate::units::{Bytes, GranuleIdx, Granules, Run, SizeClass};
use core::ffi::c_void;

pub struct Allocator<O: Os> {
    pub arena: Arena<O>,
    pub large: Large,
    pub registry: Registry,
    pub tunables: Tunables,
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

/// Whose thread frees a block.
#[derive(Clone, Copy)]
pub enum Freer<'a> {
    /// One with a heap.
    Heap(&'a Heap),
    /// One without, which freed little so far: nothing of it should wait for more.
    Visitor,
    /// One without that frees much.
    Consumer,
}

/// What became of a resize.
pub enum Resized {
    /// The block has its new size, here.
    To(*mut u8),
    /// It is as it was, with this many usable bytes: a copy must be made.
    Copy { usable: usize },
}

/// Sizes above this are refused: no object may be larger (C, and Rust's Layout).
pub const SIZE_MAX: usize = isize::MAX as usize;

impl<O: Os> Allocator<O> {
    pub const fn new(os: O, tables: &'static Tables) -> Self {
        Allocator {
            arena: Arena::new(os),
            large: Large::new(),
            registry: Registry::new(tables),
            tunables: Tunables::new(),
        }
    }

    /// The slow path of a class: the fast path found no block in `heap`, or the thread has none. Then a heap
    /// of another serves.
    pub fn alloc_class(&self, heap: Option<&Heap>, class: SizeClass) -> Option<Allocated> {
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
        if size > SIZE_MAX {
            return None;
        }
        if size < self.tunables.mmap_threshold() && align <= GRANULE * 16 {
            return self.alloc_span(size, align);
        }
        match self.large.alloc(&self.arena, size, align) {
            Some(LargeBlock { block, soiled }) => Some(Allocated { block, soiled }),
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
    pub unsafe fn free_slow(&self, freer: Freer, block: *mut u8) {
        match self.entry_of(block) {
            // SAFETY: as the caller vouches.
            None => unsafe {
                if !self.large.free(&self.arena, block) {
                    fatal::invalid_free(c"free(): invalid pointer");
                }
                self.arena.enforce_bound();
            },
            Some((granule, entry)) => {
                if entry.as_slab().is_some() {
                    let (arena, registry) = (&self.arena, &self.registry);
                    match freer {
                        Freer::Heap(heap) => heap.free_slow(arena, registry, entry, block),
                        Freer::Visitor => registry.send_home(arena, block),
                        Freer::Consumer => registry.outboxes().put(arena, registry, entry.class(), block),
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

    /// Usable bytes of a block.
    ///
    /// # Safety
    /// `block` is a live block of this allocator, not null.
    pub unsafe fn usable(&self, block: *mut u8) -> usize {
        let bytes = match self.entry_of(block) {
            None => self.large.usable(block),
            Some((_, entry)) => match (entry.as_slab(), entry.as_span()) {
                (Some((_, class)), _) => Some(size_class::bytes(class)),
                (_, Some(len)) => Some((len.0 as usize) << GRANULE_SHIFT),
                _ => None,
            },
        };
        match bytes {
            Some(bytes) => bytes,
            None => fatal::invalid_free(c"malloc_usable_size(): invalid pointer"),
        }
    }

    /// Changes a block's size without copying it, where its class, span or mapping allows.
    ///
    /// # Safety
    /// `block` is a live block of this allocator, not null; where it was resized the caller uses the
    /// result in its stead.
    pub unsafe fn resize(&self, block: *mut u8, size: usize) -> Resized {
        let Some((granule, entry)) = self.entry_of(block) else {
            // SAFETY: as the caller vouches.
            return unsafe { self.resize_large(block, size) };
        };
        if let Some((_, class)) = entry.as_slab() {
            let usable = size_class::bytes(class);
            // A block that stays at least half used is not worth a copy, nor is one that has the smallest
            // class there is for its bytes.
            let keep = size <= usable && (size * 2 >= usable || size_class::of(size) == class);
            return if keep { Resized::To(block) } else { Resized::Copy { usable } };
        }
        let Some(len) = entry.as_span() else { invalid_realloc() };
        let copy = Resized::Copy { usable: (len.0 as usize) << GRANULE_SHIFT };
        if size <= size_class::CLASS_MAX || size >= self.tunables.mmap_threshold() {
            return copy;
        }
        let want = Granules(size.div_ceil(GRANULE) as u32);
        if want < len {
            self.cut_span(granule, len, want);
        } else if want > len && !self.extend_span(granule, len, want) {
            return copy;
        }
        Resized::To(block)
    }

    /// Makes a block longer for which a copy was advised, where there is no memory for the copy: a mapping
    /// can grow where it is, or move with its pages. None where that fails too.
    ///
    /// # Safety
    /// As for `resize`.
    pub unsafe fn resize_without_copy(&self, block: *mut u8, size: usize) -> Option<*mut u8> {
        if self.entry_of(block).is_some() || size > SIZE_MAX {
            return None;
        }
        // SAFETY: as the caller vouches.
        unsafe { self.large.realloc(&self.arena, block, size, Shortcuts::None) }
    }

    /// # Safety
    /// As for `resize`.
    unsafe fn resize_large(&self, block: *mut u8, size: usize) -> Resized {
        // A mapping stays one while it is at least half the threshold: below, it is worth moving.
        if size >= self.tunables.mmap_threshold() / 2 {
            // SAFETY: as the caller vouches.
            if let Some(resized) = unsafe { self.large.realloc(&self.arena, block, size, Shortcuts::Copies) }
            {
                return Resized::To(resized);
            }
        }
        match self.large.usable(block) {
            Some(usable) => Resized::Copy { usable },
            None => invalid_realloc(),
        }
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

    /// The heap of the calling thread, claimed where it has none. None where there can be no more heaps.
    #[inline]
    pub fn attach<W: ThreadWord>(&self, on_new: impl FnOnce(&Heap)) -> Option<&Heap> {
        self.attached::<W>()
            .or_else(|| self.attach_to::<W>(self.registry.claim(&self.arena, token()), on_new))
    }

    /// The heap of the calling thread, if it has one.
    #[inline]
    pub fn attached<W: ThreadWord>(&self) -> Option<&Heap> {
        let word: *const Heap = W::get().cast();
        // SAFETY: a thread's word is EMPTY or its heap, and heaps are never unmade.
        (!core::ptr::eq(word, &EMPTY)).then(|| unsafe { &*word })
    }

    /// A heap for a thread that has none and frees much, if there may be one more of those.
    #[cold]
    pub fn attach_to_free<W: ThreadWord>(&self, on_new: impl FnOnce(&Heap)) -> Option<&Heap> {
        self.attach_to::<W>(self.registry.claim_to_free(&self.arena, token()), on_new)
    }

    #[cold]
    #[inline(never)]
    fn attach_to<'a, W: ThreadWord>(
        &self,
        claimed: Option<&'a Heap>,
        on_new: impl FnOnce(&Heap),
    ) -> Option<&'a Heap> {
        let heap = claimed?;
        // Before anything that may allocate.
        W::set(core::ptr::from_ref(heap).cast::<c_void>().cast_mut());
        on_new(heap);
        Some(heap)
    }

    /// Ends the calling thread's use of its heap. A later request claims one again.
    ///
    /// # Safety
    /// `heap` is the calling thread's, which does not use it again.
    pub unsafe fn detach<W: ThreadWord>(&self, heap: &Heap) {
        self.registry.begin_parking(heap);
        W::set(core::ptr::from_ref(&EMPTY).cast::<c_void>().cast_mut());
        heap.give_up(&self.arena, &self.registry);
        // SAFETY: as the caller vouches.
        unsafe { self.registry.park(&self.arena, heap) };
        self.relieve();
    }

    /// Gives back all that can be: `malloc_trim`.
    pub fn trim(&self, own: Option<&Heap>) {
        if let Some(heap) = own {
            heap.give_back(&self.arena, &self.registry);
        }
        self.registry.outboxes().empty(&self.arena, &self.registry);
        self.registry.for_each(|heap| heap.trim_shared(&self.arena));
        self.large.shrink_cache(&self.arena, 0);
        self.arena.purge_all();
    }

    /// In the child of a fork: takes everything up for the threads that are there. What the thread `me` itself was
    /// changing is left alone: a signal handler that forked may have interrupted it, and it will go on.
    ///
    /// # Safety
    /// The other threads of the parent are gone, and no other thread of the child is inside a call of the allocator.
    /// `alone` is whether there is none: of several, the calling one does not know which heaps are theirs.
    pub unsafe fn repair_after_fork(&self, me: usize, alone: bool) {
        // SAFETY: as the caller vouches. The arena first: the heaps ask it for their slabs.
        unsafe {
            self.arena.repair_after_fork();
            self.large.repair_after_fork(&self.arena);
            self.registry.repair_after_fork(&self.arena, me, alone);
        }
    }

    /// Whether the calling thread, whose token is `me`, is in the middle of changing something.
    pub fn is_mine(&self, me: usize) -> bool {
        self.arena.is_mine() || self.large.is_mine() || self.registry.is_mine(me)
    }

    /// A block for a request from below a signal handler that interrupted its own thread in the middle of a change: a
    /// mapping, which needs no lock but one. None where it is that one.
    pub fn alloc_barred(&self, size: usize, align: usize) -> Option<Allocated> {
        if size > SIZE_MAX || self.large.is_mine() {
            return None;
        }
        let LargeBlock { block, soiled } = self.large.alloc(&self.arena, size, align)?;
        Some(Allocated { block, soiled })
    }
}

#[cold]
fn invalid_realloc() -> ! {
    fatal::invalid_free(c"realloc(): invalid pointer")
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
