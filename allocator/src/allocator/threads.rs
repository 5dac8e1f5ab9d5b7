//! The threads of an allocator: how each comes to a heap, and leaves it.
#![allow(unsafe_code)]

use super::Allocator;
use crate::base::units::HeapId;
use crate::base::why::Cause;
use crate::heap::{EMPTY, Heap};
use crate::os::Os;
use crate::os::thread::ThreadWord;
use crate::sync::token::token;
use core::ffi::c_void;

impl<O: Os> Allocator<O> {
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
    /// The heap is the calling thread's, which does not use it again; no caller has it by an argument that is
    /// a reference (`Heap::wipe`).
    pub unsafe fn detach<W: ThreadWord>(&self, id: HeapId) {
        let heap = self.registry.heap(id);
        self.registry.begin_parking(heap);
        W::set(core::ptr::from_ref(&EMPTY).cast::<c_void>().cast_mut());
        heap.give_up(&self.arena, &self.registry, &self.medium);
        // SAFETY: as the caller vouches.
        unsafe { self.registry.park(&self.arena, id) };
        self.purge_excess(Cause::Thread);
    }
}
