//! What is known of all heaps: where each is, whose, and which have no pages. In dense tables, so that a
//! fork's child can look them through without touching a page of each heap.
//!
//! ```text
//!   seats 0 to 1023 │ 1024 to 2047 │ …    the first rows are there; others are mapped with their first heap
//! ```
//!
//! Who knows that there is a heap finds its rows, by edge MADE of the registry.
#![allow(unsafe_code)]

use super::super::Heap;
use super::super::door::Door;
use super::super::outbox::Outboxes;
use crate::base::checked::Checked;
use crate::base::config::HEAP_LIMIT;
use crate::base::why::{Cause, Reason, Why};
use crate::os::Os;
use crate::os::mapped::{Mapped, Zeroed};
use crate::sync::blank::Blank;
use crate::sync::seats::{Seats, Taken};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

const WHY: Why = Reason::Heaps.by(Cause::Thread);

pub(super) const HEAPS: usize = HEAP_LIMIT as usize;

/// Seats of one piece of the tables.
const ROWS: usize = if HEAPS < 1024 { HEAPS } else { 1024 };
const PIECES: usize = HEAPS / ROWS;
const _: () = assert!(PIECES * ROWS == HEAPS && ROWS % 64 == 0);

/// All zeros at first, so that it takes no room in a file.
pub struct Tables {
    first: Rows,
    more: Checked<Mapped<Rows>, { PIECES - 1 }>,
    /// Which have no pages, and must be written anew before they are used.
    pub(super) blank: Blank<{ HEAPS / 64 }>,
    outboxes: Mapped<Outboxes>,
}

struct Rows {
    /// Where each heap is.
    heaps: Checked<AtomicPtr<Heap>, ROWS>,
    /// Whose it is.
    seats: Seats<ROWS, { ROWS / 64 }>,
    /// The lock of its slabs.
    doors: Checked<Door, ROWS>,
}

// SAFETY: atomic words and null pointers.
unsafe impl Zeroed for Rows {}

impl Rows {
    const fn new() -> Self {
        Rows {
            heaps: Checked([const { AtomicPtr::new(null_mut()) }; ROWS]),
            seats: Seats::new(),
            doors: Checked([const { Door::new() }; ROWS]),
        }
    }
}

impl Tables {
    pub const fn new() -> Self {
        Tables {
            first: Rows::new(),
            more: Checked([const { Mapped::nothing() }; PIECES - 1]),
            blank: Blank::none(),
            outboxes: Mapped::nothing(),
        }
    }

    /// The rows of a piece, if they are there.
    #[inline]
    fn piece(&self, piece: usize) -> Option<&Rows> {
        match piece.checked_sub(1) {
            None => Some(&self.first),
            Some(at) => self.more.0.get(at)?.get(),
        }
    }

    /// The rows that have a seat, and its place there.
    #[inline]
    fn rows(&self, seat: usize) -> Option<(&Rows, usize)> {
        Some((self.piece(seat / ROWS)?, seat % ROWS))
    }

    /// The pieces that have any of the first `seats`: their rows, how many of those, and the first seat.
    fn pieces(&self, seats: usize) -> impl Iterator<Item = (&Rows, usize, usize)> {
        let firsts = (0..seats).step_by(ROWS);
        firsts.filter_map(move |first| Some((self.piece(first / ROWS)?, (seats - first).min(ROWS), first)))
    }

    /// Makes rows for a seat. How many seats from it on have theirs in the same piece; None where there is no
    /// memory.
    pub(super) fn make_rows<O: Os>(&self, os: &O, seat: usize) -> Option<usize> {
        if let Some(at) = (seat / ROWS).checked_sub(1) {
            self.more.0.get(at)?.make(os, 1, WHY)?;
        }
        Some(ROWS - seat % ROWS)
    }

    /// Where the heap of a seat is, or null.
    #[inline]
    pub(super) fn place(&self, seat: usize) -> *mut Heap {
        // Relaxed: who holds the id got it behind the heap's making.
        self.rows(seat).map_or(null_mut(), |(rows, at)| rows.heaps[at].load(Ordering::Relaxed))
    }

    /// Notes where the heap of a seat is, whose rows were made.
    pub(super) fn set_place(&self, seat: usize, heap: *mut Heap) {
        if let Some((rows, at)) = self.rows(seat) {
            // Relaxed: MADE publishes it.
            rows.heaps[at].store(heap, Ordering::Relaxed);
        }
    }

    /// The door of a seat whose rows were made. (Two heaps behind one door would only wait for each other.)
    #[inline]
    pub(super) fn door(&self, seat: usize) -> &Door {
        let (rows, at) = self.rows(seat).unwrap_or((&self.first, 0));
        &rows.doors[at]
    }

    /// Parked heaps that have their pages.
    pub(super) fn warm(&self, seats: usize) -> u32 {
        let vacant: u32 = self.pieces(seats).map(|(rows, count, _)| rows.seats.vacant(count)).sum();
        vacant.saturating_sub(self.blank.count(seats))
    }

    /// The outboxes, once a thread has used any.
    pub(super) fn outboxes(&self) -> Option<&Outboxes> {
        self.outboxes.get()
    }

    /// The outboxes, made if they are not there. None where there is no memory for them.
    pub(super) fn make_outboxes<O: Os>(&self, os: &O) -> Option<&Outboxes> {
        self.outboxes.make(os, 1, WHY)
    }

    /// Calls `f` with where each part of them is, and its bytes.
    pub(super) fn for_each_part(&self, mut f: impl FnMut(*mut u8, usize)) {
        f(core::ptr::from_ref(self).cast_mut().cast(), size_of::<Tables>());
        for rows in self.more.0.iter().filter_map(Mapped::get) {
            f(core::ptr::from_ref(rows).cast_mut().cast(), size_of::<Rows>());
        }
        if let Some(outboxes) = self.outboxes() {
            f(core::ptr::from_ref(outboxes).cast_mut().cast(), size_of::<Outboxes>());
        }
    }

    /// Gives back what was mapped.
    ///
    /// # Safety
    /// Nobody asks for a heap any more.
    pub(super) unsafe fn unload<O: Os>(&self, os: &O) {
        let why = Reason::Unload.by(Cause::Process);
        // SAFETY: as the caller vouches, for all of them.
        unsafe {
            self.more.0.iter().for_each(|rows| rows.unmap(os, 1, why));
            self.outboxes.unmap(os, 1, why);
        }
    }
}

/// The seats of all pieces, as `sync/seats.rs` has those of one.
impl Tables {
    pub(super) fn settle(&self, seat: usize, me: usize) {
        self.with_seats(seat, |seats, at| seats.settle(at, me));
    }

    pub(super) fn hold(&self, seat: usize, me: usize) {
        self.with_seats(seat, |seats, at| seats.hold(at, me));
    }

    pub(super) fn leave(&self, seat: usize) {
        self.with_seats(seat, |seats, at| seats.leave(at));
    }

    pub(super) fn mend(&self, seat: usize) {
        self.with_seats(seat, |seats, at| seats.mend(at));
    }

    pub(super) fn owner(&self, seat: usize) -> usize {
        self.with_seats(seat, |seats, at| seats.owner(at)).unwrap_or(0)
    }

    pub(super) fn settled(&self, seat: usize) -> Option<Taken> {
        self.with_seats(seat, |seats, at| seats.settled(at)).flatten()
    }

    pub(super) fn take_over(&self, seat: usize, taken: Taken, me: usize) -> bool {
        self.with_seats(seat, |seats, at| seats.take_over(at, taken, me)) == Some(true)
    }

    /// Takes the lowest vacant seat of the first `seats`.
    pub(super) fn take(&self, me: usize, seats: usize) -> Option<usize> {
        self.pieces(seats).find_map(|(rows, count, first)| Some(first + rows.seats.take(me, count)?))
    }

    /// The first seat of the first `seats` in which a thread of the token has settled.
    pub(super) fn find(&self, me: usize, seats: usize) -> Option<(usize, Taken)> {
        self.pieces(seats).find_map(|(rows, count, first)| {
            let (at, taken) = rows.seats.find(me, count)?;
            Some((first + at, taken))
        })
    }

    fn with_seats<R>(
        &self,
        seat: usize,
        f: impl FnOnce(&Seats<ROWS, { ROWS / 64 }>, usize) -> R,
    ) -> Option<R> {
        self.rows(seat).map(|(rows, at)| f(&rows.seats, at))
    }
}
