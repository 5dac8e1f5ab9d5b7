//! The medium blocks that a thread has at hand: a few free ones of whatever classes.
//!
//! ```text
//!   places   │ 72 │ 40 │    │ 96 │ 40 │ 64 │    │    │ …      KiB; taken in turn, the newest before `next`
//!   of 40       0    1    0    0    1    0    0    0           a word for each class: which places are its
//! ```
//!
//! The newest block of a class goes first, and the oldest of all go home. A fork may copy them between any
//! two stores; that it may is said by `Heap::while_busy`.
#![forbid(unsafe_code)]

use super::class::{MEDIUM_CLASSES, MediumClass};
use super::spot::Free;
use crate::base::checked::Checked;
use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

/// A bit for each place.
type Places = u32;

pub const PLACES: usize = Places::BITS as usize;

/// The most blocks that a refill brings beside the one that is asked for.
const BROUGHT_MOST: u32 = 7;

pub struct AtHand {
    places: Checked<Cell<Free>, PLACES>,
    /// Those that have a block.
    taken: Cell<Places>,
    /// The place behind the one that was taken last.
    next: Cell<u32>,
    bytes: Cell<usize>,
    /// The classes of those blocks: a bit each.
    classes: Cell<u32>,
    /// How many they may be.
    most: Cell<usize>,
    /// How many blocks the last refill brought beside the one that was asked for, and `next` after it.
    brought: Cell<u32>,
    after_refill: Cell<u32>,
    /// How often some went home since then.
    drains: Cell<u32>,
    /// Those that have a block of each class: who counts asks from another thread. Relaxed everywhere, and
    /// written by this one alone.
    of: Checked<AtomicU32, MEDIUM_CLASSES>,
}

impl AtHand {
    pub const fn new() -> AtHand {
        AtHand {
            places: Checked([const { Cell::new(Free::NONE) }; PLACES]),
            taken: Cell::new(0),
            next: Cell::new(0),
            bytes: Cell::new(0),
            classes: Cell::new(0),
            most: Cell::new(0),
            brought: Cell::new(0),
            after_refill: Cell::new(0),
            drains: Cell::new(0),
            of: Checked([const { AtomicU32::new(0) }; MEDIUM_CLASSES]),
        }
    }

    /// Forgets what there is. Nothing is kept until `allow` says how much.
    pub fn forget(&self) {
        self.taken.set(0);
        self.next.set(0);
        self.bytes.set(0);
        self.classes.set(0);
        self.most.set(0);
        self.brought.set(0);
        self.after_refill.set(0);
        self.drains.set(0);
        self.of.0.iter().for_each(|places| places.store(0, Ordering::Relaxed));
    }

    /// Says how many bytes they may be. How many they might be before.
    pub fn allow(&self, bytes: usize) -> usize {
        self.most.replace(bytes)
    }

    pub fn most(&self) -> usize {
        self.most.get()
    }

    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    #[inline]
    fn places_of(&self, class: MediumClass) -> Places {
        self.of[class.number()].load(Ordering::Relaxed)
    }

    /// The class of each block. Any thread may ask.
    pub fn classes(&self) -> impl Iterator<Item = MediumClass> {
        MediumClass::all().flat_map(|class| (0..self.places_of(class).count_ones()).map(move |_| class))
    }

    /// How many blocks of a class a refill may bring beside the one that is asked for. More from time to time
    /// where the thread frees none; none else: what it frees is the best guess at what it wants.
    pub fn wanted(&self, class: MediumClass) -> usize {
        let only_allocates = self.next.get() == self.after_refill.get();
        let more = if only_allocates { (self.brought.get() * 2 + 1).min(BROUGHT_MOST) } else { 0 };
        self.brought.set(more);
        let room = (self.most.get() / 4).min(self.most.get().saturating_sub(self.bytes()));
        let fit = room.checked_div(class.bytes()).unwrap_or(0);
        (more.min(self.taken.get().count_zeros()) as usize).min(fit)
    }

    /// A refill brought what it could.
    pub fn note_refill(&self) {
        self.after_refill.set(self.next.get());
        self.drains.set(0);
    }

    /// How many bytes should go home where there is no room: an eighth of what there is, and more from time
    /// to time where the thread allocates none.
    pub fn unwanted(&self) -> usize {
        let drains = self.drains.get();
        self.drains.set(drains.saturating_add(1));
        self.bytes() >> 3u32.saturating_sub(drains).max(1)
    }

    /// Of the classes that may serve a request of one, the first of which there is a block.
    #[inline]
    pub fn serves(&self, class: MediumClass) -> Option<MediumClass> {
        class.first_served_by(self.classes.get())
    }

    /// The newest block of a class.
    #[inline]
    pub fn pop(&self, class: MediumClass) -> Option<Free> {
        let places = self.places_of(class);
        // Turned so that the newest is the highest.
        let highest = places.rotate_right(self.next.get()).checked_ilog2()?;
        let at = (highest + self.next.get()) % Places::BITS;
        Some(self.remove(at, class))
    }

    #[inline]
    fn remove(&self, at: u32, class: MediumClass) -> Free {
        let others = !(1 << at);
        let places = self.places_of(class) & others;
        self.of[class.number()].store(places, Ordering::Relaxed);
        self.classes.set(self.classes.get() & !(u32::from(places == 0) << class.number()));
        self.taken.set(self.taken.get() & others);
        self.bytes.set(self.bytes() - class.bytes());
        self.places[at as usize].get()
    }

    /// The first of some places in their turn, which is that of the oldest block where they have some.
    #[inline]
    fn first_from_next(&self, places: Places) -> u32 {
        let next = self.next.get();
        (places.rotate_right(next).trailing_zeros() + next) % Places::BITS
    }

    /// Adds a block. False where there is no room for it.
    #[inline]
    pub fn push(&self, free: Free) -> bool {
        let class = free.spot.class;
        let bytes = self.bytes() + class.bytes();
        let vacant = !self.taken.get();
        if vacant == 0 || bytes > self.most.get() {
            return false;
        }
        let at = self.first_from_next(vacant);
        self.places[at as usize].set(free);
        self.taken.set(self.taken.get() | 1 << at);
        self.of[class.number()].store(self.places_of(class) | 1 << at, Ordering::Relaxed);
        self.classes.set(self.classes.get() | 1 << class.number());
        self.next.set((at + 1) % Places::BITS);
        self.bytes.set(bytes);
        true
    }

    /// Takes the oldest blocks out, one by one, until those are at least so many bytes or none is left.
    pub fn drain(&self, bytes: usize) -> impl Iterator<Item = Free> {
        let least = self.bytes().saturating_sub(bytes);
        core::iter::from_fn(move || {
            if self.bytes() <= least {
                return None;
            }
            let at = self.first_from_next(self.taken.get());
            Some(self.remove(at, self.places[at as usize].get().spot.class))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::spot::Spot;
    use super::*;

    fn free(number: usize, kib: usize) -> Free {
        let class = MediumClass::of(kib << 10).expect("a medium block");
        let block = core::ptr::without_provenance_mut(number);
        Free { block, spot: Spot { class, ..Spot::NONE }, clean: false }
    }

    fn pop(at_hand: &AtHand, kib: usize) -> Option<usize> {
        at_hand.pop(at_hand.serves(free(0, kib).spot.class)?).map(|free| free.block.addr())
    }

    fn drain(at_hand: &AtHand, bytes: usize) -> Vec<usize> {
        at_hand.drain(bytes).map(|free| free.block.addr()).collect()
    }

    #[test]
    fn the_newest_of_a_class_goes_first_and_the_oldest_go_home() {
        let at_hand = AtHand::new();
        assert!(!at_hand.push(free(1, 36)), "nothing is allowed yet");
        at_hand.allow(200 << 10);
        assert!([(1, 36), (2, 48), (3, 36), (4, 64)].iter().all(|&(n, kib)| at_hand.push(free(n, kib))));
        assert!(!at_hand.push(free(5, 36)) && at_hand.bytes() == 184 << 10);
        let seen = || at_hand.classes().map(|class| class.bytes() >> 10).collect::<Vec<_>>();
        assert_eq!(seen(), [36, 36, 48, 64]);
        assert_eq!([36; 3].map(|kib| pop(&at_hand, kib)), [Some(3), Some(1), None]);
        assert_eq!((drain(&at_hand, 1), seen()), (vec![2], vec![64]));
        assert_eq!((pop(&at_hand, 56), pop(&at_hand, 64), at_hand.bytes()), (Some(4), None, 0));
    }

    #[test]
    fn places_are_taken_in_turn() {
        let at_hand = AtHand::new();
        at_hand.allow(usize::MAX);
        let most = 3 * PLACES;
        for n in 0..most {
            assert!(at_hand.push(free(n, 40 + n % 2 * 24)), "{n}");
            if n >= 7 {
                assert_eq!(drain(&at_hand, 1), [n - 7]);
            }
        }
        assert_eq!([40, 64, 40].map(|kib| pop(&at_hand, kib)), [most - 2, most - 1, most - 4].map(Some));
        assert_eq!(drain(&at_hand, usize::MAX), [7, 6, 5, 3].map(|before| most - before));
    }

    #[test]
    fn there_are_few_places() {
        let at_hand = AtHand::new();
        at_hand.allow(usize::MAX);
        assert_eq!((0..2 * PLACES).filter(|&n| at_hand.push(free(n, 40))).count(), PLACES);
        assert_eq!((at_hand.classes().count(), at_hand.wanted(free(0, 40).spot.class)), (PLACES, 0));
        assert_eq!((drain(&at_hand, usize::MAX).len(), at_hand.classes().count()), (PLACES, 0));
    }

    #[test]
    fn a_thread_that_only_allocates_is_brought_more_and_one_that_only_frees_sends_more() {
        let at_hand = AtHand::new();
        at_hand.allow(1 << 20);
        let refill = || {
            let wanted = at_hand.wanted(free(0, 40).spot.class);
            assert!((0..wanted).all(|n| at_hand.push(free(n, 40))));
            at_hand.note_refill();
            (0..wanted).for_each(|_| _ = pop(&at_hand, 40));
            wanted
        };
        // Six of them are a quarter of what is allowed.
        assert_eq!([refill(), refill(), refill(), refill()], [1, 3, 6, 6]);
        at_hand.push(free(1, 64));
        assert_eq!(refill(), 0, "it frees");
        at_hand.allow(usize::MAX);
        let refill = || at_hand.wanted(free(0, 40).spot.class);
        assert_eq!([refill(), refill(), refill(), refill()], [1, 3, 7, 7]);
        (1..16).for_each(|n| _ = at_hand.push(free(n, 64)));
        let eighths = || at_hand.unwanted() >> 17;
        assert_eq!([eighths(), eighths(), eighths(), eighths()], [1, 2, 4, 4]);
        at_hand.note_refill();
        assert_eq!(eighths(), 1, "it allocates");
    }
}
