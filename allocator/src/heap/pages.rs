//! The pages of a heap that is about to be parked.
//!
//! ```text
//!   heap, 4 KiB │ first slots, 11 KiB │ slots of magazines that grew, 97 KiB
//!   all: of a heap that has no slab    │ of one that keeps what a thread begins with
//!                of one that has slabs │
//! ```
#![allow(unsafe_code)]

use super::magazine::FIRST_BYTES;
use super::{HEAP_BYTES, Heap};
use crate::arena::Arena;
use crate::base::units::round_up;
use crate::base::why::{Cause, Reason, Why};
use crate::os::Os;
use crate::sync::blank::Blank;

const WHY: Why = Reason::Heaps.by(Cause::Thread);

/// Bytes of a heap and its slots, in whole pages.
pub fn heap_bytes<O: Os>(arena: &Arena<O>) -> Option<usize> {
    round_up(HEAP_BYTES, arena.os.page())
}

/// Bytes of the pages that a thread begins with.
pub fn begun_bytes<O: Os>(arena: &Arena<O>) -> usize {
    round_up(size_of::<Heap>() + FIRST_BYTES, arena.os.page()).unwrap_or(0)
}

impl Heap {
    /// Gives all pages of a heap back, and marks it blank in its `place`. False where it has slabs, where
    /// somebody looks through all heaps, and where the kernel refuses: it is as it was then.
    ///
    /// # Safety
    /// The calling thread runs the heap, and does not use it again; it is made anew before the next use. It
    /// does not lend to others. No caller has it by an argument that is a reference: what it is of goes.
    pub(super) unsafe fn wipe<O: Os, const N: usize>(
        heap: *const Heap,
        arena: &Arena<O>,
        blank: &Blank<N>,
        place: usize,
    ) -> bool {
        // SAFETY: the caller's heap, which is there until it is purged below.
        let (slabs, at) = unsafe { ((*heap).shared.slabs.lock(), (*heap).mapping()) };
        let Some(len) = heap_bytes(arena) else { return false };
        // Without a slab nobody has a block of it, and so nobody sends it one.
        if slabs.slab_bytes() > 0 || !blank.mark(place) {
            return false;
        }
        // SAFETY: a heap's mapping, in which nothing is needed: as the caller vouches, and nobody looks at
        // it.
        if !unsafe { arena.os.purge(at, len, WHY) } {
            blank.unmark(place);
            return false;
        }
        // SAFETY: the caller's heap, of which the guard is the last user.
        unsafe { slabs.leave_wiped() };
        true
    }

    /// Gives the pages of all slots back. The magazines are closed.
    pub(super) fn purge_slots<O: Os>(&self, arena: &Arena<O>) {
        self.purge_from(arena, size_of::<Heap>());
    }

    /// The same, but for those that small magazines use.
    pub(super) fn purge_wide_slots<O: Os>(&self, arena: &Arena<O>) {
        if self.owned.wide.replace(false) {
            self.purge_from(arena, size_of::<Heap>() + FIRST_BYTES);
        }
    }

    fn purge_from<O: Os>(&self, arena: &Arena<O>, from: usize) {
        let from = round_up(from, arena.os.page());
        if let Some((from, end)) = from.zip(heap_bytes(arena)).filter(|(from, end)| from < end) {
            // SAFETY: slots of the caller's heap, whose magazines are closed: nothing in them is needed, and
            // zero is the null that each begins with.
            unsafe { arena.os.purge(self.mapping().wrapping_add(from), end - from, WHY) };
        }
    }

    /// Where it begins, with the right to its slots too.
    fn mapping(&self) -> *mut u8 {
        self.owned.slots.get().0.cast_mut().cast::<u8>().wrapping_sub(size_of::<Heap>())
    }
}
