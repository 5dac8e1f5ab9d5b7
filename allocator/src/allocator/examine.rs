//! What C's functions look at before they take a pointer for a block. Rust's types leave nothing to look at.
#![allow(unsafe_code)]

use super::{Allocator, Freer};
use crate::arena::page_map::Entry;
use crate::base::config::GRANULE;
use crate::base::fatal;
use crate::base::units::{GranuleIdx, HeapId, SizeClass};
use crate::heap::Heap;
use crate::os::Os;
use crate::slab::handed_out::HandedOut;
use crate::slab::{index_of, stamp};
use core::ffi::CStr;

/// What a pointer into a slab is, for all that can be found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// A block that is with the program.
    Out,
    Free,
    /// No block that ever was.
    Never,
}

impl<O: Os> Allocator<O> {
    /// Frees a block that C's fast path did not take. A pointer that is none, or a block that is free, ends
    /// the program.
    ///
    /// # Safety
    /// As for `free_slow`, as far as that cannot be seen here.
    pub unsafe fn free_checked(&self, freer: Freer, block: *mut u8) {
        match self.entry_of(block) {
            Some((granule, entry)) if entry.as_slab().is_some() => {
                let heap = if let Freer::Heap(heap) = freer { Some(heap) } else { None };
                if heap.is_some_and(|heap| heap.follow_window(&self.arena) && heap.push(block)) {
                    return;
                }
                match self.standing(heap, granule, entry, block) {
                    Standing::Out => {}
                    Standing::Free => fatal::wrong_use(c"free(): double free detected", block),
                    Standing::Never => fatal::wrong_use(c"free(): invalid pointer", block),
                }
                // SAFETY: a block of a slab, which the program gave up.
                unsafe { stamp::put(block) };
                self.free_small(freer, entry, block);
            }
            // SAFETY: as the caller vouches.
            place => unsafe { self.free_big(freer, place, block) },
        }
    }

    /// Ends the program where a block of a slab is free.
    pub fn refuse_freed(&self, block: *mut u8, what: &'static CStr) {
        let slab = self.entry_of(block).and_then(|(_, entry)| entry.as_slab());
        if let Some((owner, class)) = slab {
            if index_of(class, block.addr() % GRANULE).is_some() && self.is_free(owner, class, block) {
                fatal::wrong_use(what, block);
            }
        }
    }

    #[inline]
    pub(super) fn standing(
        &self,
        heap: Option<&Heap>,
        granule: GranuleIdx,
        entry: Entry,
        block: *mut u8,
    ) -> Standing {
        let Some((owner, class)) = entry.as_slab() else { return Standing::Never };
        heap.into_iter().for_each(|heap| heap.show_all(class));
        let Some(index) = index_of(class, block.addr() % GRANULE) else { return Standing::Never };
        if entry.is_young() && !heap.is_some_and(|heap| heap.knows(class, index)) {
            // SAFETY: a granule with an entry was gained.
            let carved = unsafe { HandedOut::of(&self.arena.started(), granule) }.count();
            if index >= carved as usize {
                return Standing::Never;
            }
            if self.is_fresh(heap, owner, class, index, block) {
                return Standing::Free;
            }
            match heap {
                Some(heap) if heap.id() == owner => heap.know_page(class, block),
                Some(heap) => heap.learn(class, carved),
                None => {}
            }
        }
        if self.is_free(owner, class, block) { Standing::Free } else { Standing::Out }
    }

    /// Whether a block of a young slab was never handed out, or is back there.
    #[cold]
    #[inline(never)]
    fn is_fresh(
        &self,
        heap: Option<&Heap>,
        owner: HeapId,
        class: SizeClass,
        index: usize,
        block: *mut u8,
    ) -> bool {
        let home = self.registry.heap(owner);
        let at_hand = match heap {
            Some(heap) if heap.id() == owner => heap.has_fresh(class, block, index),
            _ => home.has_at_hand(class, block),
        };
        at_hand || home.has_in_slab(&self.arena, class, block)
    }

    /// Whether a block of a slab is free, if it has the stamp of those that are.
    #[inline]
    fn is_free(&self, owner: HeapId, class: SizeClass, block: *mut u8) -> bool {
        // SAFETY: a block of a slab.
        unsafe { stamp::is_on(block) && self.is_found(owner, class, block) }
    }

    /// Whether a block is found where free ones are: its stamp alone may be the program's own word.
    #[cold]
    #[inline(never)]
    fn is_found(&self, owner: HeapId, class: SizeClass, block: *mut u8) -> bool {
        self.registry.any(|heap| heap.has_at_hand(class, block))
            || self.registry.heap(owner).has_at_home(&self.arena, class, block)
    }
}
