//! Seats: which thread has which of the things that one thread at a time may have (the heaps).
//!
//! ```text
//!   owner    token │   0   │ token │   0   │ …     the truth, a word for each seat
//!   vacant     0   │   1   │   0   │   1   │ …     where to look first, a bit for each
//!
//!   0 ──take──► token, moving ──settle──► token ──hold──► token, moving ──leave──► 0
//! ```
//!
//! A thread has a seat from one compare-exchange on until one store, so a fork copies a table in which every
//! seat is somebody's or nobody's, and its child knows whose: no stack from which a thread may just have
//! taken one, and not yet said so. The lowest vacant seat is taken first.
//!
//! A vacant bit may be set where a seat is taken already (the compare-exchange fails then, and the next is
//! tried); where it is not set its thread is just leaving, and is about to set it. To set and clear bits
//! twice does no harm, so whoever repairs the table may be the interrupted thread's own signal handler. While
//! a thread is on its way in or out its seat is its own, but not to be used by such a handler.
//!
//! Edge PARK: leave's store (Release) → take's compare-exchange (Acquire): who takes a seat sees all that its
//! last owner did there.

use super::{AtomicU64, AtomicUsize, Ordering};

/// The orderings of the edge, so that a model can weaken one and see it fail.
pub trait Orderings {
    const LEAVE: Ordering;
    const TAKE: Ordering;
}

pub struct Strong;
impl Orderings for Strong {
    const LEAVE: Ordering = Ordering::Release;
    const TAKE: Ordering = Ordering::Acquire;
}

/// Of an owner's word: it is on its way in or out. Tokens are even.
const MOVING: usize = 1;

/// Seats of a word of bits.
const BITS: usize = u64::BITS as usize;

/// `WORDS` words of bits for `SEATS` seats. What is asked of a seat that there is not is not done.
pub struct Seats<const SEATS: usize, const WORDS: usize, O = Strong> {
    owners: [AtomicUsize; SEATS],
    vacant: [AtomicU64; WORDS],
    orderings: core::marker::PhantomData<O>,
}

impl<const SEATS: usize, const WORDS: usize, O: Orderings> Seats<SEATS, WORDS, O> {
    /// Seats that nobody may take before they were somebody's.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Seats {
            owners: [const { AtomicUsize::new(0) }; SEATS],
            vacant: [const { AtomicU64::new(0) }; WORDS],
            orderings: core::marker::PhantomData,
        }
    }

    #[cfg(loom)]
    pub fn new() -> Self {
        Seats {
            owners: std::array::from_fn(|_| AtomicUsize::new(0)),
            vacant: std::array::from_fn(|_| AtomicU64::new(0)),
            orderings: core::marker::PhantomData,
        }
    }

    /// The calling thread, whose token is `me`, has a seat from now on that it took or held.
    pub fn settle(&self, seat: usize, me: usize) {
        if let Some(owner) = self.owners.get(seat) {
            // Relaxed: it is the thread's own, or nobody knows of it.
            owner.store(me, Ordering::Relaxed);
        }
    }

    /// The calling thread, whose token is `me`, is on its way to a seat that was made for it, or from its
    /// own.
    pub fn hold(&self, seat: usize, me: usize) {
        self.settle(seat, me | MOVING);
    }

    /// Takes the lowest vacant seat of the first `seats`; `settle` follows.
    pub fn take(&self, me: usize, seats: usize) -> Option<usize> {
        let mut words = self.vacant.iter().zip(self.owners.chunks(BITS)).zip((0..seats).step_by(BITS));
        words.find_map(|((word, owners), first)| Some(first + take_of::<O>(word, owners, me)?))
    }

    /// Leaves a seat of the calling thread's, or of one that a fork left behind, to the next.
    pub fn leave(&self, seat: usize) {
        let (Some(owner), Some(word)) = (self.owners.get(seat), self.vacant.get(seat / BITS)) else { return };
        // PARK (Release).
        owner.store(0, O::LEAVE);
        word.fetch_or(bit(seat), Ordering::Relaxed);
    }

    /// The token of the thread that has a seat, or 0.
    pub fn owner(&self, seat: usize) -> usize {
        // Relaxed: a thread sees its own, and a fork's child what was there.
        self.owners.get(seat).map_or(0, |owner| owner.load(Ordering::Relaxed) & !MOVING)
    }

    /// The first seat of the first `seats` that the thread of a token has already, and is not moving to or
    /// from.
    pub fn find(&self, me: usize, seats: usize) -> Option<usize> {
        // Relaxed: as above. Of an ended thread with the same token this one is the successor, which libc
        // orders.
        self.owners.iter().take(seats).position(|owner| owner.load(Ordering::Relaxed) == me)
    }

    /// How many of the first `seats` are vacant.
    pub fn vacant(&self, seats: usize) -> u32 {
        let words = self.vacant.iter().take(seats.div_ceil(BITS));
        words.map(|word| word.load(Ordering::Relaxed).count_ones()).sum()
    }

    /// In the child of a fork: makes the bit of a seat what its owner says. Writes only where it is not.
    pub fn mend(&self, seat: usize) {
        let Some(word) = self.vacant.get(seat / BITS) else { return };
        let (vacant, said) = (self.owner(seat) == 0, word.load(Ordering::Relaxed) & bit(seat) != 0);
        if vacant != said {
            word.fetch_xor(bit(seat), Ordering::Relaxed);
        }
    }
}

/// Takes the lowest vacant seat of those of a word.
fn take_of<O: Orderings>(word: &AtomicU64, owners: &[AtomicUsize], me: usize) -> Option<usize> {
    // Relaxed, for all of the bits: they only say where to look.
    let mut left = word.load(Ordering::Relaxed);
    while left != 0 {
        let seat = left.trailing_zeros() as usize;
        // PARK (Acquire).
        if owners.get(seat)?.compare_exchange(0, me | MOVING, O::TAKE, Ordering::Relaxed).is_ok() {
            word.fetch_and(!bit(seat), Ordering::Relaxed);
            return Some(seat);
        }
        left &= left - 1;
    }
    None
}

fn bit(seat: usize) -> u64 {
    1 << (seat % BITS)
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use crate::sync::token::token;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;
    use std::sync::atomic::{AtomicUsize, Ordering as Plain};

    struct Model<O> {
        seats: Seats<2, 1, O>,
        /// What a heap holds: touched by its owner only.
        heaps: [UnsafeCell<u32>; 2],
    }

    impl<O: Orderings> Model<O> {
        fn take(&self) -> Option<usize> {
            self.seats.take(token(), 2)
        }

        fn work(&self, seat: usize) {
            // SAFETY: a heap whose seat was taken is this thread's alone; loom checks the claim.
            self.heaps[seat].with_mut(|heap| unsafe { *heap += 1 });
        }
    }

    /// Two threads take a seat, work and leave it. Returns in how many executions a thread got the seat that
    /// the other had left.
    fn explore<O: Orderings + Send + Sync + 'static>() -> usize {
        let met = std::sync::Arc::new(AtomicUsize::new(0));
        let seen = met.clone();
        loom::model(move || {
            let model =
                Arc::new(Model::<O> { seats: Seats::new(), heaps: [UnsafeCell::new(0), UnsafeCell::new(0)] });
            for seat in 0..2 {
                model.seats.settle(seat, token());
                model.seats.leave(seat);
            }
            let churn = |model: &Model<O>| {
                [(); 2].map(|()| {
                    let seat = model.take()?;
                    model.work(seat);
                    model.seats.leave(seat);
                    Some(seat)
                })
            };
            let other = model.clone();
            let thread = thread::spawn(move || churn(&other));
            let mine = churn(&model);
            let theirs = thread.join().unwrap();
            if mine.iter().flatten().any(|seat| theirs.contains(&Some(*seat))) {
                seen.fetch_add(1, Plain::Relaxed);
            }
            let left = [model.take(), model.take()];
            assert_eq!(left, [Some(0), Some(1)], "a seat was lost");
            assert_eq!(model.take(), None);
            let worked: u32 = (0..2).map(|seat| model.heaps[seat].with(|heap| unsafe { *heap })).sum();
            let turns = mine.iter().chain(&theirs).flatten().count();
            assert_eq!(worked as usize, turns, "two threads had one heap");
        });
        met.load(Plain::Relaxed)
    }

    #[test]
    fn loom_a_seat_is_taken_by_one_with_all_that_was_done_there() {
        assert!(explore::<Strong>() > 10, "no execution handed a seat over: the model shows nothing");
    }

    struct WeakLeave;
    impl Orderings for WeakLeave {
        const LEAVE: Ordering = Ordering::Relaxed;
        const TAKE: Ordering = Ordering::Acquire;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_leave_is_caught() {
        explore::<WeakLeave>();
    }

    struct WeakTake;
    impl Orderings for WeakTake {
        const LEAVE: Ordering = Ordering::Release;
        const TAKE: Ordering = Ordering::Relaxed;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_take_is_caught() {
        explore::<WeakTake>();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn three() -> Seats<128, 2> {
        let seats = Seats::new();
        for seat in [0, 1, 70] {
            seats.settle(seat, 6);
        }
        seats
    }

    #[test]
    fn the_lowest_vacant_seat_is_taken_first_and_what_somebody_has_is_found() {
        let seats = three();
        assert_eq!((seats.take(8, 128), seats.find(6, 128), seats.find(8, 128)), (None, Some(0), None));
        seats.leave(70);
        seats.leave(1);
        assert_eq!(seats.vacant(128), 2);
        assert_eq!([8, 10, 12].map(|me| seats.take(me, 128)), [Some(1), Some(70), None]);
        assert_eq!((seats.owner(1), seats.owner(70), seats.vacant(128)), (8, 10, 0));
    }

    #[test]
    fn a_seat_is_not_found_while_its_thread_is_on_its_way_in_or_out() {
        let seats = three();
        seats.leave(1);
        assert_eq!((seats.take(8, 128), seats.find(8, 128)), (Some(1), None));
        seats.settle(1, 8);
        assert_eq!(seats.find(8, 128), Some(1));
        seats.hold(1, 8);
        assert_eq!((seats.find(8, 128), seats.owner(1)), (None, 8));
    }

    /// Copies between any two stores of a thread that takes or leaves.
    #[test]
    fn the_bits_of_a_torn_table_are_mended_by_its_owners() {
        let seats = three();
        seats.owners[1].store(0, Ordering::Relaxed);
        seats.leave(70);
        seats.owners[70].store(8 | MOVING, Ordering::Relaxed);
        assert_eq!(seats.take(8, 128), None, "one is not to be seen yet, one is taken already");
        for seat in [0, 1, 70] {
            seats.mend(seat);
        }
        assert_eq!((seats.vacant(128), seats.take(8, 128)), (1, Some(1)));
        // The thread that was interrupted goes on, and says it again.
        seats.leave(1);
        seats.mend(1);
        assert_eq!(seats.take(8, 128), Some(1));
    }
}
