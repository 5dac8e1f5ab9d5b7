//! Seats: which thread has which of the things that one thread at a time may have (the heaps).
//!
//! ```text
//!   word     token, 3 │  0, 7 │ token, 1 │  0, 4 │ …   the truth: whose, and how often it was taken
//!   vacant       0    │   1   │     0    │   1   │ …   where to look first, a bit for each
//!
//!   nobody's ──take──► token, moving ──settle──► token ──hold──► token, moving ──leave──► nobody's
//!                           ▲                      │
//!                           └──────take_over───────┘  of a thread that is no more
//! ```
//!
//! A thread has a seat from one compare-exchange on until one store, so a fork copies a table in which every
//! seat is somebody's or nobody's, and its child knows whose. With a stack of free ones a thread may have
//! just taken one and not yet said so. The lowest vacant seat is taken first.
//!
//! A vacant bit may be set where a seat is taken already (the compare-exchange fails then, and the next is
//! tried); where it is not set its thread is just leaving, and is about to set it. To set and clear bits
//! twice does no harm, so whoever repairs the table may be the interrupted thread's own signal handler. While
//! a thread is on its way in or out its seat is its own, but not to be used by such a handler.
//!
//! A thread may end and not leave its seat, and a later one may have its token. The count tells two owners of
//! a seat apart that have one token.
//!
//! Edge PARK: leave's store (Release) → take's compare-exchange (Acquire): who takes a seat sees all that its
//! last owner did there.
//! Edge SETTLE: settle's store (Release) → the look at a word (Acquire): who asks whether an owner is there
//! still sees what that one noted of itself.

use super::{AtomicU64, AtomicUsize, Ordering};

/// The orderings of the edges, so that a model can weaken one and see it fail.
pub trait Orderings {
    const LEAVE: Ordering;
    const TAKE: Ordering;
    const SETTLE: Ordering;
    const LOOK: Ordering;
}

pub struct Strong;
impl Orderings for Strong {
    const LEAVE: Ordering = Ordering::Release;
    const TAKE: Ordering = Ordering::Acquire;
    const SETTLE: Ordering = Ordering::Release;
    const LOOK: Ordering = Ordering::Acquire;
}

/// Of a word: its owner is on its way in or out. Tokens are even.
const MOVING: usize = 1;

/// Of a word: whose it is. Above it is the count.
const TOKEN_BITS: u32 = 48;
const TOKEN: usize = (1 << TOKEN_BITS) - 1 - MOVING;
const TAKEN_ONCE: usize = 1 << TOKEN_BITS;

/// Seats of a word of bits.
const BITS: usize = u64::BITS as usize;

/// A seat as its owner has it now, whom its token names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken(usize);

impl Taken {
    pub fn token(self) -> usize {
        self.0 & TOKEN
    }
}

/// `WORDS` words of bits for `SEATS` seats. What is asked of a seat that there is not is not done.
pub struct Seats<const SEATS: usize, const WORDS: usize, O = Strong> {
    words: [AtomicUsize; SEATS],
    vacant: [AtomicU64; WORDS],
    orderings: core::marker::PhantomData<O>,
}

impl<const SEATS: usize, const WORDS: usize, O: Orderings> Seats<SEATS, WORDS, O> {
    /// Seats that nobody may take before they were somebody's.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Seats {
            words: [const { AtomicUsize::new(0) }; SEATS],
            vacant: [const { AtomicU64::new(0) }; WORDS],
            orderings: core::marker::PhantomData,
        }
    }

    #[cfg(loom)]
    pub fn new() -> Self {
        Seats {
            words: std::array::from_fn(|_| AtomicUsize::new(0)),
            vacant: std::array::from_fn(|_| AtomicU64::new(0)),
            orderings: core::marker::PhantomData,
        }
    }

    /// The calling thread, whose token is `me`, has a seat from now on that it took or held.
    pub fn settle(&self, seat: usize, me: usize) {
        // SETTLE (Release).
        self.change(seat, O::SETTLE, |word| word & !(TOKEN | MOVING) | me & TOKEN);
    }

    /// The calling thread, whose token is `me`, is on its way to a seat that was made for it, or from its
    /// own.
    pub fn hold(&self, seat: usize, me: usize) {
        // Relaxed: nobody else changes the word, and nobody knows of what comes next.
        self.change(seat, Ordering::Relaxed, |word| word & !TOKEN | me & TOKEN | MOVING);
    }

    /// Changes the word of a seat that is the calling thread's.
    fn change(&self, seat: usize, order: Ordering, to: impl FnOnce(usize) -> usize) {
        if let Some(word) = self.words.get(seat) {
            word.store(to(word.load(Ordering::Relaxed)), order);
        }
    }

    /// Takes the lowest vacant seat of the first `seats`; `settle` follows.
    pub fn take(&self, me: usize, seats: usize) -> Option<usize> {
        let words = self.vacant.iter().zip(self.words.chunks(BITS));
        let mut words = words.zip((0..seats).step_by(BITS));
        words.find_map(|((vacant, words), first)| Some(first + take_of::<O>(vacant, words, me)?))
    }

    /// Takes a seat over whose owner is no more; `settle` follows. False where another thread was faster.
    pub fn take_over(&self, seat: usize, taken: Taken, me: usize) -> bool {
        // PARK (Acquire): of one that ended, libc orders what it did.
        self.words.get(seat).is_some_and(|word| exchange::<O>(word, taken.0, me))
    }

    /// Leaves a seat of the calling thread's, or of one that a fork left behind, to the next.
    pub fn leave(&self, seat: usize) {
        // PARK (Release).
        self.change(seat, O::LEAVE, |word| word & !(TOKEN | MOVING));
        if let Some(vacant) = self.vacant.get(seat / BITS) {
            vacant.fetch_or(bit(seat), Ordering::Relaxed);
        }
    }

    /// The token of the thread that has a seat, or 0.
    pub fn owner(&self, seat: usize) -> usize {
        // Relaxed: a thread sees its own, and a fork's child what was there.
        self.words.get(seat).map_or(0, |word| word.load(Ordering::Relaxed) & TOKEN)
    }

    /// Who has settled in a seat.
    pub fn settled(&self, seat: usize) -> Option<Taken> {
        // SETTLE (Acquire).
        let word = self.words.get(seat)?.load(O::LOOK);
        (word & TOKEN != 0 && word & MOVING == 0).then_some(Taken(word))
    }

    /// The first seat of the first `seats` in which a thread of the token has settled.
    pub fn find(&self, me: usize, seats: usize) -> Option<(usize, Taken)> {
        let settled = (0..seats).filter_map(|seat| Some((seat, self.settled(seat)?)));
        settled.into_iter().find(|(_, taken)| taken.token() == me & TOKEN)
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

/// Takes the lowest vacant seat of those of a word of bits.
fn take_of<O: Orderings>(vacant: &AtomicU64, words: &[AtomicUsize], me: usize) -> Option<usize> {
    // Relaxed, for all of the bits: they only say where to look.
    let mut left = vacant.load(Ordering::Relaxed);
    while left != 0 {
        let seat = left.trailing_zeros() as usize;
        let word = words.get(seat)?;
        // Relaxed: the compare-exchange checks it.
        let found = word.load(Ordering::Relaxed);
        if found & (TOKEN | MOVING) == 0 && exchange::<O>(word, found, me) {
            vacant.fetch_and(!bit(seat), Ordering::Relaxed);
            return Some(seat);
        }
        left &= left - 1;
    }
    None
}

/// Makes a seat whose word was found so the calling thread's, which is on its way there.
fn exchange<O: Orderings>(word: &AtomicUsize, found: usize, me: usize) -> bool {
    let taken = (found & !(TOKEN | MOVING)).wrapping_add(TAKEN_ONCE) | me & TOKEN | MOVING;
    // PARK (Acquire).
    word.compare_exchange(found, taken, O::TAKE, Ordering::Relaxed).is_ok()
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
        const SETTLE: Ordering = Ordering::Release;
        const LOOK: Ordering = Ordering::Acquire;
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
        const SETTLE: Ordering = Ordering::Release;
        const LOOK: Ordering = Ordering::Acquire;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_take_is_caught() {
        explore::<WeakTake>();
    }

    const SAME: usize = 8;

    /// Of a seat's owner: whether it is no more. A later one notes that it is there before it settles.
    struct Life<O> {
        seats: Seats<1, 1, O>,
        note: loom::sync::atomic::AtomicU32,
        heap: UnsafeCell<u32>,
    }

    const ENDED: u32 = 1;
    const ALIVE: u32 = 2;

    impl<O: Orderings> Life<O> {
        fn use_it(&self) {
            // SAFETY: whoever took the seat has the heap; loom checks the claim.
            self.heap.with_mut(|heap| unsafe { *heap += 1 });
        }
    }

    /// The seat of a thread that ended: one that has its token finds it, uses it and stays; another asks
    /// whether its owner is there still. In how many executions each of them got it.
    fn take_over<O: Orderings + Send + Sync + 'static>() -> (usize, usize) {
        let met = std::sync::Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let seen = met.clone();
        loom::model(move || {
            let life = Arc::new(Life::<O> {
                seats: Seats::new(),
                note: loom::sync::atomic::AtomicU32::new(ENDED),
                heap: UnsafeCell::new(0),
            });
            life.seats.settle(0, SAME);
            let other = life.clone();
            let successor = thread::spawn(move || {
                let found = other.seats.find(SAME, 1);
                let got = found.is_some_and(|(seat, taken)| other.seats.take_over(seat, taken, SAME));
                if got {
                    other.note.store(ALIVE, Ordering::Relaxed);
                    other.use_it();
                    other.seats.settle(0, SAME);
                }
                got
            });
            // In a thread of its own: loom never lets the other one run before this one's first look.
            let looker = life.clone();
            let got = thread::spawn(move || {
                let ended = |_: &Taken| looker.note.load(Ordering::Relaxed) == ENDED;
                let taken = looker.seats.settled(0).filter(ended);
                let got = taken.is_some_and(|taken| looker.seats.take_over(0, taken, 2));
                if got {
                    looker.use_it();
                }
                got
            });
            let (got, successor) = (got.join().unwrap(), successor.join().unwrap());
            assert!(got != successor, "the heap is two threads', or nobody's");
            seen[0].fetch_add(got as usize, Plain::Relaxed);
            seen[1].fetch_add(successor as usize, Plain::Relaxed);
        });
        (met[0].load(Plain::Relaxed), met[1].load(Plain::Relaxed))
    }

    #[test]
    fn loom_the_seat_of_an_ended_thread_is_taken_over_by_one() {
        let (other, successor) = take_over::<Strong>();
        assert!(other > 0 && successor > 0, "{other} and {successor}: the model shows nothing");
    }

    struct WeakSettle;
    impl Orderings for WeakSettle {
        const LEAVE: Ordering = Ordering::Release;
        const TAKE: Ordering = Ordering::Acquire;
        const SETTLE: Ordering = Ordering::Relaxed;
        const LOOK: Ordering = Ordering::Acquire;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_settle_is_caught() {
        take_over::<WeakSettle>();
    }

    struct WeakLook;
    impl Orderings for WeakLook {
        const LEAVE: Ordering = Ordering::Release;
        const TAKE: Ordering = Ordering::Acquire;
        const SETTLE: Ordering = Ordering::Release;
        const LOOK: Ordering = Ordering::Relaxed;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_look_is_caught() {
        take_over::<WeakLook>();
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

    fn at(seats: &Seats<128, 2>, token: usize) -> Option<usize> {
        seats.find(token, 128).map(|(seat, _)| seat)
    }

    #[test]
    fn a_seat_is_taken_over_from_the_owner_that_was_looked_at_only() {
        let seats = three();
        let taken = seats.settled(1).expect("an owner");
        assert!(seats.take_over(1, taken, 6) && !seats.take_over(1, taken, 8));
        seats.settle(1, 6);
        assert!(!seats.take_over(1, taken, 8), "another of the same token has it");
        let taken = seats.settled(1).expect("an owner");
        assert_eq!(taken.token(), 6);
        seats.leave(1);
        assert_eq!((seats.settled(1), seats.take(6, 128)), (None, Some(1)));
        seats.settle(1, 6);
        assert!(!seats.take_over(1, taken, 8));
    }

    #[test]
    fn the_lowest_vacant_seat_is_taken_first_and_what_somebody_has_is_found() {
        let seats = three();
        assert_eq!((seats.take(8, 128), at(&seats, 6), at(&seats, 8)), (None, Some(0), None));
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
        assert_eq!((seats.take(8, 128), at(&seats, 8)), (Some(1), None));
        seats.settle(1, 8);
        assert_eq!(at(&seats, 8), Some(1));
        seats.hold(1, 8);
        assert_eq!((at(&seats, 8), seats.owner(1)), (None, 8));
    }

    /// Copies between any two stores of a thread that takes or leaves.
    #[test]
    fn the_bits_of_a_torn_table_are_mended_by_its_owners() {
        let seats = three();
        seats.words[1].store(0, Ordering::Relaxed);
        seats.leave(70);
        seats.words[70].store(8 | MOVING, Ordering::Relaxed);
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
