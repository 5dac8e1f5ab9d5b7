//! All thread heaps: made once, never unmade; run by a thread, parked when it ends, adopted by the next.
//!
//! ```text
//!            claim: none parked                exit
//!   (none) ────────────────────► running ──────────────► parked
//!                                   ▲                      │ claim: the lowest
//!                                   └──────────────────────┘
//! ```
//!
//! What is known of all heaps stands in dense tables (`tables`). A heap is mapped when it is made. Of one
//! that is parked the pages go back: all of it is *blank* then, and written anew for the thread that adopts
//! it.
//!
//! Edge MADE: `count` is stored Release behind the heap it counts, and loaded Acquire.
#![allow(unsafe_code)]

mod ended;
mod tables;

use super::Heap;
use super::outbox::Outboxes;
use super::pages::{begun_bytes, heap_bytes};
use crate::arena::Arena;
use crate::base::config::{WARM_HEAPS, WIDE_HEAPS};
use crate::base::units::{HeapId, SizeClass};
use crate::base::why::{Cause, Reason};
use crate::os::Os;
use crate::sync::lock::{Inherited, Lock};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use tables::HEAPS;
pub use tables::Tables;

/// Heaps that there may be under any limit of address space.
const HEAPS_MIN: usize = 16;

/// Heaps that are mapped together at most: 1.7 MiB.
const TOGETHER: usize = 16;

/// Heaps that threads which only free may have, all of them together. Others share the outboxes.
const FREEING: usize = 2;

/// How many threads the child of a fork has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling one.
    One,
    Several,
}

pub struct Registry {
    tables: &'static Tables,
    count: AtomicU32,
    growth: Lock<()>,
    /// Heaps that there are when their threads are asked for next.
    asks_at: AtomicU32,
    /// Tokens of the threads that have a heap to free with, or 0.
    freeing: [AtomicUsize; FREEING],
}

fn seat_of(id: HeapId) -> usize {
    (id.0 as usize).wrapping_sub(1)
}

fn id_of(seat: usize) -> HeapId {
    HeapId(seat as u32 + 1)
}

impl Registry {
    pub const fn new(tables: &'static Tables) -> Self {
        Registry {
            tables,
            count: AtomicU32::new(0),
            growth: Lock::new(()),
            asks_at: AtomicU32::new(0),
            freeing: [const { AtomicUsize::new(0) }; FREEING],
        }
    }

    /// A heap for the thread whose token is `me`: one that it has already, a parked one, one whose thread is
    /// no more, or a new one. None where there is no memory for it.
    pub fn claim<O: Os>(&self, arena: &Arena<O>, me: usize) -> Option<&Heap> {
        arena.start()?;
        let seats = self.count() as usize;
        let seat = self.left_behind(me, seats).or_else(|| self.tables.take(me, seats));
        let heap = match seat.or_else(|| self.of_ended(&arena.os, me, seats)) {
            Some(seat) => self.ready(seat),
            None => self.make(arena, me)?,
        };
        heap.follow_window(arena);
        heap.start_running(arena.os.thread());
        self.tables.settle(seat_of(heap.id()), me);
        Some(heap)
    }

    /// The heap of a seat that the calling thread took.
    fn ready(&self, seat: usize) -> &Heap {
        let id = id_of(seat);
        if self.tables.blank.is(seat) {
            // SAFETY: a heap's mapping, whose seat this thread has; it was blanked, so behind the heap it
            // reads as zero.
            unsafe { Heap::create(self.place(seat), id, self.tables.door(seat)) };
            self.tables.blank.unmark(seat);
        }
        self.heap(id)
    }

    /// As `claim`, for a thread that only frees: none where enough of those have one.
    pub fn claim_to_free<O: Os>(&self, arena: &Arena<O>, me: usize) -> Option<&Heap> {
        // Relaxed, for all of these words: a thread's own, and otherwise only counted.
        let mine = |slot: &&AtomicUsize| {
            let found = slot.compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed);
            found.is_ok() || found == Err(me)
        };
        let slot = self.freeing.iter().find(mine)?;
        let heap = self.claim(arena, me);
        match heap {
            Some(heap) => heap.note_only_frees(),
            None => slot.store(0, Ordering::Relaxed),
        }
        heap
    }

    /// The thread of a heap allocates: if it had the heap to free with, another may have one.
    #[inline]
    pub fn stop_freeing(&self, heap: &Heap) {
        if heap.forget_only_frees() {
            self.let_another_free(self.tables.owner(seat_of(heap.id())));
        }
    }

    #[cold]
    fn let_another_free(&self, me: usize) {
        for slot in &self.freeing {
            _ = slot.compare_exchange(me, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The calling thread is about to give up its heap: even if it is interrupted, it does not come back to
    /// it.
    pub fn begin_parking(&self, heap: &Heap) {
        let seat = seat_of(heap.id());
        self.tables.hold(seat, self.tables.owner(seat));
    }

    /// Leaves a heap to the next thread that claims one, and gives back what pages of it can go.
    ///
    /// # Safety
    /// The calling thread runs the heap, gave up what it had at hand (`Heap::give_up`), and does not touch
    /// the owner's half again. No caller has the heap by an argument that is a reference (`Heap::wipe`).
    pub unsafe fn park<O: Os>(&self, arena: &Arena<O>, id: HeapId) {
        let (heap, seat) = (self.heap(id), seat_of(id));
        let (me, only_freed) = (self.tables.owner(seat), heap.forget_only_frees());
        heap.mark_parked();
        self.give_pages(arena, id);
        self.tables.leave(seat);
        // Behind that, so that the other one finds the heap.
        if only_freed {
            self.let_another_free(me);
        }
    }

    /// Of the pages of a heap that is about to be parked, a few heaps keep what a thread begins with. The
    /// first ones are never blank: they lend.
    fn give_pages<O: Os>(&self, arena: &Arena<O>, id: HeapId) {
        let (heap, seat) = (self.heap(id), seat_of(id));
        if seat < WIDE_HEAPS {
            return;
        }
        if seat < WARM_HEAPS || self.tables.warm(self.count() as usize) < WARM_HEAPS as u32 {
            return heap.purge_wide_slots(arena);
        }
        // SAFETY: the heap of the calling thread's seat, which `ready` makes anew; the callers have its id.
        if !unsafe { Heap::wipe(heap, arena, &self.tables.blank, seat) } {
            heap.purge_slots(arena);
        }
    }

    fn make<O: Os>(&self, arena: &Arena<O>, me: usize) -> Option<&Heap> {
        let _growth = self.growth.lock();
        // Relaxed: only changed under the lock.
        let seat = self.count.load(Ordering::Relaxed) as usize;
        if seat == HEAPS {
            return None;
        }
        let id = id_of(seat);
        if self.place(seat).is_null() {
            self.map_heaps(arena, seat)?;
        }
        let at = self.place(seat);
        // SAFETY: a mapping for one heap, of which nobody knows.
        unsafe { Heap::create(at, id, self.tables.door(seat)) };
        self.tables.hold(seat, me);
        // MADE (Release).
        self.count.store(id.0, Ordering::Release);
        // SAFETY: created above; heaps are never unmade.
        Some(unsafe { &*at })
    }

    /// Maps memory for heaps from `seat` on: for as many as there are, up to some, so that they are few
    /// mappings. It stands in the table from then on, whatever a fork may cut off.
    fn map_heaps<O: Os>(&self, arena: &Arena<O>, seat: usize) -> Option<()> {
        let (stride, rows) = (heap_bytes(arena)?, self.tables.make_rows(&arena.os, seat)?);
        // Under a limit of address space, a sixteenth of it.
        let room = (arena.os.address_limit() / 16).checked_div(stride)?.clamp(HEAPS_MIN, HEAPS);
        let most = seat.clamp(1, TOGETHER).min(room.saturating_sub(seat)).min(rows);
        let why = Reason::Heaps.by(Cause::Thread);
        let mut counts = [most, 1].into_iter().filter(|&count| (1..=most).contains(&count));
        let (at, count) = counts.find_map(|count| Some((arena.os.map(count * stride, why)?, count)))?;
        for k in 0..count {
            self.tables.set_place(seat + k, at.wrapping_add(k * stride).cast());
        }
        Some(())
    }

    #[inline]
    fn place(&self, seat: usize) -> *mut Heap {
        self.tables.place(seat)
    }

    /// The heap of an id that a page-map entry or a seat named.
    #[inline]
    pub fn heap(&self, id: HeapId) -> &Heap {
        // SAFETY: ids are handed out only for heaps that were created, and heaps are never unmade.
        unsafe { &*self.place(seat_of(id)) }
    }

    /// The heap that serves threads without one, by class: what they have of a class is together. None before
    /// the first heap.
    pub fn lender(&self, class: SizeClass) -> Option<&Heap> {
        let below = (class.0 as u32).checked_rem(self.count().min(WARM_HEAPS as u32))?;
        Some(self.heap(HeapId(1 + below)))
    }

    /// Where threads without a heap leave what they free, once one has done so.
    pub fn outboxes(&self) -> Option<&Outboxes> {
        self.tables.outboxes()
    }

    /// The same, made if it is not there. None where there is no memory for it.
    pub fn make_outboxes<O: Os>(&self, os: &O) -> Option<&Outboxes> {
        self.tables.make_outboxes(os)
    }

    /// Heaps made so far, parked ones included.
    pub fn count(&self) -> u32 {
        // MADE (Acquire).
        self.count.load(Ordering::Acquire)
    }

    /// Calls `f` with every heap that may have anything.
    pub fn for_each(&self, f: impl FnMut(&Heap)) {
        let _looks = self.tables.blank.look();
        self.look_through(f);
    }

    /// Whether something is true of one of them.
    pub fn any(&self, mut is: impl FnMut(&Heap) -> bool) -> bool {
        let mut any = false;
        self.for_each(|heap| any = any || is(heap));
        any
    }

    fn look_through(&self, mut f: impl FnMut(&Heap)) {
        let seats = (0..self.count() as usize).filter(|&seat| !self.tables.blank.is(seat));
        seats.for_each(|seat| f(self.heap(id_of(seat))));
    }

    /// The heap of a seat, as `f` sees it: None behind the last, and of one that has nothing.
    pub fn at<R>(&self, seat: usize, f: impl FnOnce(&Heap) -> R) -> Option<R> {
        let _looks = self.tables.blank.look();
        let there = seat < self.count() as usize && !self.tables.blank.is(seat);
        there.then(|| f(self.heap(id_of(seat))))
    }

    /// Bytes of the heaps that are mapped, and of their pages that are in use: those that each thread begins
    /// with, of a heap that is not blank.
    pub fn bytes<O: Os>(&self, arena: &Arena<O>) -> (usize, usize) {
        let Some(len) = heap_bytes(arena) else { return (0, 0) };
        let count = self.count() as usize;
        // Those that were mapped together with the last stand behind it.
        let mapped = (count..HEAPS).take_while(|&seat| !self.place(seat).is_null()).count() + count;
        let used = count - self.tables.blank.count(count) as usize;
        (mapped * len, used * begun_bytes(arena).min(len))
    }

    /// Calls `f` with where each heap is and how long its mapping is, and the same of what is known of all.
    pub fn for_each_mapping<O: Os>(&self, arena: &Arena<O>, mut f: impl FnMut(*mut u8, usize)) {
        let Some(len) = heap_bytes(arena) else { return };
        self.tables.for_each_part(&mut f);
        (0..self.count() as usize).for_each(|seat| f(self.place(seat).cast(), len));
    }

    /// Unmaps all heaps, for a library that is unloaded.
    ///
    /// # Safety
    /// No thread is inside of the allocator, or enters it from here on.
    pub unsafe fn unload<O: Os>(&self, arena: &Arena<O>) {
        let Some(len) = heap_bytes(arena) else { return };
        let places = (0..HEAPS).map(|seat| self.place(seat));
        for at in places.take_while(|at| !at.is_null()) {
            // SAFETY: mapped by `map_heaps`; as the caller vouches nobody uses it again.
            unsafe { arena.os.unmap(at.cast(), len, Reason::Unload.by(Cause::Process)) };
        }
        // SAFETY: as the caller vouches.
        unsafe { self.tables.unload(&arena.os) };
    }

    /// In the child of a fork: heaps of threads that are not there any more are parked, and what a thread was
    /// caught changing is repaired. The heaps of the thread `me` stay its own.
    ///
    /// # Safety
    /// As for `Allocator::repair_after_fork`.
    pub unsafe fn repair_after_fork<O: Os>(&self, arena: &Arena<O>, me: usize, threads: Threads) {
        // SAFETY: as the caller vouches. Half a heap is written again by `make`.
        unsafe { self.growth.inherit() };
        // SAFETY: as the caller vouches.
        unsafe { self.tables.blank.inherit() };
        if let Some(outboxes) = self.outboxes() {
            // SAFETY: as the caller vouches.
            unsafe { outboxes.repair_after_fork() };
        }
        for slot in self.freeing.iter().filter(|slot| slot.load(Ordering::Relaxed) != me) {
            slot.store(0, Ordering::Relaxed);
        }
        let next = self.count() as usize;
        if !self.place(next).is_null() {
            // Who began to make that one may have been behind its door.
            // SAFETY: as the caller vouches.
            unsafe { self.tables.door(next).holder.inherit() };
        }
        arena.budget.allowance.forget();
        for seat in 0..self.count() as usize {
            let (owner, blank) = (self.tables.owner(seat), self.tables.blank.is(seat));
            let gone = owner != 0 && owner != me && threads == Threads::One;
            let door = self.tables.door(seat);
            // SAFETY: as the caller vouches. No page of the heap is touched where there is nothing to do.
            let inherited = unsafe { door.holder.inherit() };
            if !blank && inherited == Inherited::Torn {
                self.heap(id_of(seat)).rebuild(arena);
            } else if !blank && inherited == Inherited::Open && door.has_lost_round() {
                self.heap(id_of(seat)).end_lost_round(arena);
            }
            if gone {
                if !blank {
                    self.heap(id_of(seat)).forget_owner();
                }
                self.tables.leave(seat);
            } else if owner != 0 && !blank {
                // Of another thread it is not known which it is, here.
                let thread = if owner == me { arena.os.thread() } else { 0 };
                let heap = self.heap(id_of(seat));
                heap.note_thread(thread);
                heap.shelter();
            }
            if !blank && owner != 0 {
                arena.budget.allowance.change(0, self.heap(id_of(seat)).medium_allowed());
            }
            self.tables.mend(seat);
        }
    }

    /// Shuts the door of the heap that is made next. False where it has none yet.
    #[cfg(test)]
    pub fn shut_next_door(&self) -> bool {
        let next = self.count() as usize;
        !self.place(next).is_null() && self.tables.door(next).holder.try_lock()
    }

    #[cfg(test)]
    pub fn blank_heaps(&self) -> u32 {
        self.tables.blank.count(HEAPS)
    }

    #[cfg(test)]
    pub fn owner(&self, heap: &Heap) -> usize {
        self.tables.owner(seat_of(heap.id()))
    }

    /// Whether the calling thread, whose token is `me`, is in the middle of changing what is known of all
    /// heaps, or one of them.
    pub fn is_mine(&self, me: usize) -> bool {
        let own = self.tables.find(me, self.count() as usize);
        let busy =
            own.is_some_and(|(seat, _)| !self.tables.blank.is(seat) && self.heap(id_of(seat)).is_busy());
        busy || self.growth.is_mine()
            || self.tables.blank.is_mine()
            || self.outboxes().is_some_and(Outboxes::is_mine)
            || (0..self.count() as usize).any(|seat| self.tables.door(seat).holder.is_mine())
    }
}
