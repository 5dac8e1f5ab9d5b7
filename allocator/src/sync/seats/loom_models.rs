//! Every order in which threads take, leave and look at seats, and weakened twins that fail.

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
