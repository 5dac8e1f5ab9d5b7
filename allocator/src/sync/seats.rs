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
    #[cfg(not(brkmap_loom))]
    pub const fn new() -> Self {
        Seats {
            words: [const { AtomicUsize::new(0) }; SEATS],
            vacant: [const { AtomicU64::new(0) }; WORDS],
            orderings: core::marker::PhantomData,
        }
    }

    #[cfg(brkmap_loom)]
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

#[cfg(all(test, brkmap_loom))]
mod loom_models;

#[cfg(all(test, not(brkmap_loom)))]
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
