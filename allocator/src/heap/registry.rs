//! All thread heaps: made once, never unmade; run by a thread, parked when it ends, adopted by the next.
//!
//! ```text
//!            claim: none parked                exit
//!   (none) ────────────────────► running ──────────────► parked
//!                                   ▲                      │ claim: the last parked first, it is
//!                                   └──────────────────────┘ the warmest
//! ```
//!
//! Heaps lie side by side in one reservation, so an id leads to its heap without a table.

use super::{HEAP_BYTES, Heap, PARKED};
use crate::arena::Arena;
use crate::config::HEAP_LIMIT;
use crate::os::Os;
use crate::sync::id_stack::IdStack;
use crate::sync::lock::Lock;
use crate::units::{HeapId, SizeClass, round_up};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering, compiler_fence};

/// Bytes from one heap to the next.
const STRIDE: usize = HEAP_BYTES.next_multiple_of(4096);

/// Fewest heaps worth a reservation.
const HEAPS_MIN: u32 = 16;

pub struct Registry {
    parked: IdStack,
    /// Heap 1, once there is a reservation. Edge MADE: `count` is stored Release behind the heap it
    /// counts, and loaded Acquire.
    first: AtomicPtr<u8>,
    count: AtomicU32,
    growth: Lock<Growth>,
}

struct Growth {
    /// Heaps the reservation has room for.
    room: u32,
    /// Bytes of the reservation that are writable.
    ready: usize,
}

impl Registry {
    pub const fn new() -> Self {
        Registry {
            parked: IdStack::new(),
            first: AtomicPtr::new(core::ptr::null_mut()),
            count: AtomicU32::new(0),
            growth: Lock::new(Growth { room: 0, ready: 0 }),
        }
    }

    /// A heap for the calling thread alone: a parked one, else a new one. None where there is no memory
    /// for it.
    pub fn claim<O: Os>(&self, arena: &Arena<O>) -> Option<&Heap> {
        arena.start()?;
        let heap = match self.pop_parked() {
            Some(heap) => heap,
            None => self.make(arena)?,
        };
        heap.follow_window(arena);
        heap.start_running();
        Some(heap)
    }

    fn pop_parked(&self) -> Option<&Heap> {
        let id = self.parked.pop(|id| {
            // Relaxed: edge LINK of the stack orders it.
            self.heap(HeapId(id)).shared.park_link.load(Ordering::Relaxed)
        })?;
        Some(self.heap(HeapId(id)))
    }

    /// Leaves a heap to the next thread that claims one.
    ///
    /// # Safety
    /// The calling thread runs the heap, and does not touch the owner's half again.
    pub unsafe fn park(&self, heap: &Heap) {
        // Relaxed: see `is_parked`; the PARK edge publishes the heap.
        heap.shared.state.store(PARKED, Ordering::Relaxed);
        // Relaxed: edge LINK of the stack orders it.
        self.parked.push(heap.id.0, |link| heap.shared.park_link.store(link, Ordering::Relaxed));
    }

    fn make<O: Os>(&self, arena: &Arena<O>) -> Option<&Heap> {
        let mut growth = self.growth.lock();
        // Relaxed: only changed under the lock.
        let id = self.count.load(Ordering::Relaxed) + 1;
        if growth.room == 0 {
            // Under a limit of address space, a sixteenth of it.
            let fit = (arena.os.address_limit() / 16 / STRIDE).min(HEAP_LIMIT as usize) as u32;
            let mut room = fit.max(HEAPS_MIN);
            let first = loop {
                match arena.os.reserve(room as usize * STRIDE, c"brkmap: heaps") {
                    Some(first) => break first,
                    None if room > HEAPS_MIN => room /= 2,
                    None => return None,
                }
            };
            // Relaxed: MADE publishes it with the first heap. Before `room`, which a fork may copy alone.
            self.first.store(first, Ordering::Relaxed);
            compiler_fence(Ordering::Release);
            growth.room = room;
        }
        if id > growth.room {
            return None;
        }
        let first = self.first.load(Ordering::Relaxed);
        let needed = round_up(id as usize * STRIDE, arena.os.page())?;
        if needed > growth.ready {
            // SAFETY: a part of our reservation that nobody uses.
            if !unsafe { arena.os.commit(first.wrapping_add(growth.ready), needed - growth.ready) } {
                return None;
            }
            growth.ready = needed;
        }
        let at: *mut Heap = first.wrapping_add((id as usize - 1) * STRIDE).cast();
        // SAFETY: writable since a moment ago, page-aligned, and no thread knows of it.
        unsafe { Heap::create(at, HeapId(id)) };
        // MADE (Release).
        self.count.store(id, Ordering::Release);
        // SAFETY: created above; heaps are never unmade.
        Some(unsafe { &*at })
    }

    /// The heap of an id that a page-map entry or the parked stack named.
    #[inline]
    pub fn heap(&self, id: HeapId) -> &Heap {
        // Relaxed: who holds the id got it behind the heap's making.
        let first = self.first.load(Ordering::Relaxed);
        // SAFETY: ids are handed out only for heaps that were created, and heaps are never unmade.
        unsafe { &*first.wrapping_add((id.0 as usize - 1) * STRIDE).cast::<Heap>() }
    }

    /// The heap that serves threads without one, by class: what they have of a class is together. None before
    /// the first heap.
    pub fn lender(&self, class: SizeClass) -> Option<&Heap> {
        let below = (class.0 as u32).checked_rem(self.count())?;
        Some(self.heap(HeapId(1 + below)))
    }

    /// Heaps made so far, parked ones included.
    pub fn count(&self) -> u32 {
        // MADE (Acquire).
        self.count.load(Ordering::Acquire)
    }

    /// Whether something is true of one of them.
    pub fn any(&self, mut is: impl FnMut(&Heap) -> bool) -> bool {
        (1..=self.count()).any(|id| is(self.heap(HeapId(id))))
    }

    pub fn for_each(&self, mut f: impl FnMut(&Heap)) {
        for id in 1..=self.count() {
            f(self.heap(HeapId(id)));
        }
    }

    /// What a fork's copy has of a thread that is about to park its heap, and of one that adopts one.
    ///
    /// # Safety
    /// As for `park`.
    #[cfg(test)]
    pub unsafe fn park_without_push(&self, heap: &Heap) {
        heap.shared.state.store(PARKED, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub fn pop_without_mark(&self) -> Option<&Heap> {
        self.pop_parked()
    }

    /// In the child of a fork: heaps of threads that are not there any more are parked, and what a
    /// thread was caught changing is repaired.
    ///
    /// # Safety
    /// The calling thread is the process's only one, runs `mine` (if any), and is inside no call of the
    /// allocator.
    pub unsafe fn repair_after_fork<O: Os>(&self, arena: &Arena<O>, mine: HeapId) {
        if self.growth.is_locked() {
            // SAFETY: the holder was a thread of the parent. Half a heap is written again by `make`.
            unsafe { self.growth.force_unlock() };
        }
        // All are parked anew: a thread may have been between its mark and the stack.
        while self.pop_parked().is_some() {}
        self.for_each(|heap| {
            // SAFETY: as the caller vouches.
            unsafe { heap.repair_shared(arena) };
            if heap.id != mine {
                heap.forget_if_busy();
                // SAFETY: its thread is gone, so this one may park it.
                unsafe { self.park(heap) };
            }
        });
    }
}
