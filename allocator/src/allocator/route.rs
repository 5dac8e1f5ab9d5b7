//! The route: which floor serves a request, a block that is given up, and a resize.
//!
//! ```text
//!   size, alignment ─┬─ at most 32 KiB ──────────► a class of the thread's heap
//!                    ├─ below the threshold ─────► a medium block, or beyond 256 KiB a span
//!                    └─ the threshold and above ─► a mapping
//!   pointer ─┬─ the page map knows it ─► a slab's class │ a chunk, whose record knows │ a span
//!            └─ it does not ──────────► a large mapping, or nobody's
//! ```
#![allow(unsafe_code)]

use super::place::Place;
use super::sizes::Unlike;
use super::{Allocator, Freer, Resized};
use crate::arena::page_map::Entry;
use crate::base::allocated::Allocated;
use crate::base::config::{ADDRESSES, GRANULE};
use crate::base::fatal;
use crate::base::size_class;
use crate::base::units::{GranuleIdx, SizeClass};
use crate::base::why::Cause;
use crate::heap::Heap;
use crate::large::{Growth, Refusal};
use crate::medium::MediumClass;
use crate::os::Os;

impl<O: Os> Allocator<O> {
    /// The slow path of a class: the fast path found no block in `heap`, or the thread has none. Then a heap
    /// of another serves.
    pub fn alloc_class(&self, heap: Option<&Heap>, class: SizeClass) -> Option<Allocated> {
        let class = class.max(size_class::LEAST);
        let allocated = match heap {
            Some(heap) => {
                self.registry.stop_freeing(heap);
                heap.alloc_slow(&self.arena, class)
            }
            None => self.registry.lender(class)?.lend(&self.arena, class),
        };
        // A refill may have emptied a depot.
        if self.arena.budget.is_over() || self.arena.budget.is_held() {
            self.purge_excess(Cause::Class(class));
        }
        allocated
    }

    /// A request above the classes of slabs, from a thread with a heap or without: a medium block, a span or
    /// a mapping.
    #[inline(never)]
    pub fn alloc_big(&self, heap: Option<&Heap>, size: usize, align: usize) -> Option<Allocated> {
        if size > ADDRESSES {
            return None;
        }
        if size < self.arena.settings.mmap_threshold() && align <= GRANULE * 16 {
            let class = MediumClass::of_aligned(size, align);
            let medium = class.and_then(|class| self.alloc_medium(heap, class));
            return medium.or_else(|| self.alloc_span(size, align));
        }
        match self.large.alloc(&self.arena, size, align) {
            Some((allocated, len)) => {
                self.note_mapping(size, len.0);
                Some(allocated)
            }
            // A limit may refuse new mappings where the arena has free addresses enough.
            None => self.alloc_span(size, align),
        }
    }

    /// The page-map entry of a pointer into the arena, with its granule. Elsewhere it is FREE, a large
    /// mapping in the middle of the arena included.
    pub(super) fn entry_of(&self, block: *mut u8) -> Option<(GranuleIdx, Entry)> {
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
        if let Freer::Heap(heap) = freer {
            if heap.follow_window(&self.arena) && heap.push(block) {
                return;
            }
        }
        match self.entry_of(block) {
            Some((_, entry)) if entry.as_slab().is_some() => {
                self.free_small(freer, entry, block);
            }
            // SAFETY: as the caller vouches.
            place => unsafe { self.free_big(freer, place, block) },
        }
    }

    /// Frees a block of a slab, of the entry `entry`.
    #[inline]
    pub(super) fn free_small(&self, freer: Freer, entry: Entry, block: *mut u8) {
        let (arena, registry) = (&self.arena, &self.registry);
        match freer {
            Freer::Heap(heap) => heap.free_slow(arena, registry, entry, block),
            Freer::Visitor => registry.send_home(arena, block),
            Freer::Consumer => registry.send_later(arena, entry.class(), block),
        }
        self.purge_excess(Cause::Class(entry.class()));
    }

    /// Frees a medium block or a span, which have a place in the arena, or a mapping.
    ///
    /// # Safety
    /// As for `free_slow`.
    #[inline]
    pub(super) unsafe fn free_big(&self, freer: Freer, place: Option<(GranuleIdx, Entry)>, block: *mut u8) {
        let chunk = place.and_then(|(granule, entry)| Some((granule, entry.in_chunk()?)));
        if let Some((granule, place)) = chunk {
            return self.free_medium(freer, granule, place, block);
        }
        let span = place.and_then(|(head, entry)| Some((head, entry.as_span()?)));
        match span {
            None if place.is_none() => {
                let share = self.arena.share();
                // SAFETY: as the caller vouches.
                if !unsafe { self.large.free(&self.arena, share, block) } {
                    fatal::wrong_use(c"free(): invalid pointer", block);
                }
                self.arena.enforce_bound_after(share, Cause::Large);
                self.purge_pressed(Cause::Large);
            }
            Some((head, len)) if block.addr() % GRANULE == 0 => self.free_span(head, len),
            _ => fatal::wrong_use(c"free(): invalid pointer", block),
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
        match self.place_of(block) {
            Place::Small(class) => self.resize_small(block, class, size),
            Place::Medium(class) => self.resize_medium(block, class, size),
            Place::Span(head, len) => self.resize_span(block, head, len, size),
            Place::Astray => Resized::NoBlock,
            // SAFETY: as the caller vouches.
            Place::Outside => unsafe { self.resize_large(block, size) },
        }
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
        if size_class::is_half_used(usable, size) {
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
        unsafe { self.large.resize(&self.arena, block, size, Growth::Forced) }.ok().map(|(block, _)| block)
    }

    /// # Safety
    /// As for `resize`.
    unsafe fn resize_large(&self, block: *mut u8, size: usize) -> Resized {
        // A mapping stays one while it is at least half the threshold: below, it is worth moving.
        if !(self.arena.settings.mmap_threshold() / 2..=ADDRESSES).contains(&size) {
            return self.large.usable(block).map_or(Resized::NoBlock, |usable| Resized::Copy { usable });
        }
        // SAFETY: as the caller vouches.
        match unsafe { self.large.resize(&self.arena, block, size, Growth::Cheapest) } {
            Ok((resized, len)) => {
                self.note_mapping(size, len.0);
                Resized::To(resized)
            }
            Err(Refusal::CopyCostsLess { usable } | Refusal::NoMemory { usable }) => Resized::Copy { usable },
            Err(Refusal::NoBlock) => Resized::NoBlock,
        }
    }
}
