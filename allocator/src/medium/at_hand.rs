//! The medium blocks that a thread has at hand: a few free ones of whatever classes.
//!
//! The newest comes last, and goes first. A fork may copy them between any two stores; that it may is said by
//! `Heap::while_busy`.
#![forbid(unsafe_code)]

use super::class::MediumClass;
use super::spot::Free;
use crate::base::checked::Checked;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};

pub const PLACES: usize = size_of::<u64>();

pub struct AtHand {
    places: Checked<Cell<Free>, PLACES>,
    count: Cell<usize>,
    bytes: Cell<usize>,
    /// The class of each and one, a byte a place: who counts asks from another thread. Relaxed everywhere,
    /// and written by this one alone.
    classes: AtomicU64,
    /// How many they may be.
    most: Cell<usize>,
}

impl AtHand {
    pub const fn new() -> AtHand {
        AtHand {
            places: Checked([const { Cell::new(Free::NONE) }; PLACES]),
            count: Cell::new(0),
            bytes: Cell::new(0),
            classes: AtomicU64::new(0),
            most: Cell::new(0),
        }
    }

    /// Forgets what there is. Nothing is kept until `allow` says how much.
    pub fn forget(&self) {
        self.count.set(0);
        self.bytes.set(0);
        self.show(|_| 0);
        self.most.set(0);
    }

    pub fn allow(&self, bytes: usize) {
        self.most.set(bytes);
    }

    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// The classes of all blocks. Any thread may ask.
    pub fn classes(&self) -> impl Iterator<Item = MediumClass> + use<> {
        let classes = self.classes.load(Ordering::Relaxed).to_le_bytes();
        classes.into_iter().filter_map(|class| class.checked_sub(1).map(MediumClass::told))
    }

    /// Changes what other threads see.
    #[inline]
    fn show(&self, change: impl FnOnce(u64) -> u64) {
        self.classes.store(change(self.classes.load(Ordering::Relaxed)), Ordering::Relaxed);
    }

    /// How many blocks of a class there is room for in half of what is allowed.
    pub fn room(&self, class: MediumClass) -> usize {
        let bytes = (self.most.get() / 2).saturating_sub(self.bytes());
        bytes.checked_div(class.bytes()).map_or(0, |blocks| blocks.min(PLACES - self.count.get()))
    }

    /// The newest block of a class.
    #[inline]
    pub fn pop(&self, class: MediumClass) -> Option<Free> {
        let count = self.count.get();
        let at = (0..count).rev().find(|&at| class.may_be(self.places[at].get().spot.class))?;
        let free = self.places[at].get();
        for later in at + 1..count {
            self.places[later - 1].set(self.places[later].get());
        }
        self.count.set(count - 1);
        self.bytes.set(self.bytes() - free.spot.class.bytes());
        let before = u64::MAX.wrapping_shl(bits(at));
        self.show(|classes| classes & !before | classes >> u8::BITS & before);
        Some(free)
    }

    /// Adds a block. False where there is no room for it.
    #[inline]
    pub fn push(&self, free: Free) -> bool {
        let (count, bytes) = (self.count.get(), self.bytes() + free.spot.class.bytes());
        if count == PLACES || bytes > self.most.get() {
            return false;
        }
        self.places[count].set(free);
        self.count.set(count + 1);
        self.bytes.set(bytes);
        self.show(|classes| classes | (free.spot.class.number() as u64 + 1) << bits(count));
        true
    }

    /// Takes the oldest blocks out that have at least so many bytes together, or all there are: how many, and
    /// those.
    pub fn drain(&self, bytes: usize) -> (usize, [Free; PLACES]) {
        let (count, mut taken, mut sum) = (self.count.get(), 0, 0);
        let all = [const { Cell::new(Free::NONE) }; PLACES];
        for (place, out) in self.places.first(count).iter().zip(&all) {
            if sum >= bytes {
                break;
            }
            out.set(place.get());
            (taken, sum) = (taken + 1, sum + place.get().spot.class.bytes());
        }
        for later in taken..count {
            self.places[later - taken].set(self.places[later].get());
        }
        self.count.set(count - taken);
        self.bytes.set(self.bytes() - sum);
        self.show(|classes| classes.checked_shr(bits(taken)).unwrap_or(0));
        (taken, all.map(|out| out.get()))
    }
}

/// Where the byte of a place begins.
#[inline]
fn bits(place: usize) -> u32 {
    place as u32 * u8::BITS
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

    #[test]
    fn the_newest_of_a_class_goes_first_and_the_oldest_go_home() {
        let at_hand = AtHand::new();
        assert!(!at_hand.push(free(1, 36)), "nothing is allowed yet");
        at_hand.allow(200 << 10);
        assert!([(1, 36), (2, 48), (3, 36), (4, 64)].iter().all(|&(n, kib)| at_hand.push(free(n, kib))));
        assert!(!at_hand.push(free(5, 36)) && at_hand.bytes() == 184 << 10);
        let seen = || at_hand.classes().map(|class| class.bytes() >> 10).collect::<Vec<_>>();
        assert_eq!(seen(), [36, 48, 36, 64]);
        let pop = |kib| at_hand.pop(free(0, kib).spot.class).map(|free| free.block.addr());
        assert_eq!([pop(36), pop(36), pop(36)], [Some(3), Some(1), None]);
        assert_eq!(at_hand.room(free(0, 48).spot.class), 0);
        let (count, all) = at_hand.drain(1);
        assert_eq!(seen(), [64]);
        assert_eq!((count, all[0].block.addr(), pop(64), at_hand.bytes()), (1, 2, Some(4), 0));
        assert_eq!(at_hand.room(free(0, 48).spot.class), 2);
    }

    #[test]
    fn there_are_few_places() {
        let at_hand = AtHand::new();
        at_hand.allow(usize::MAX);
        assert_eq!((0..20).filter(|&n| at_hand.push(free(n, 40))).count(), PLACES);
        assert_eq!(at_hand.classes().count(), PLACES);
        assert_eq!((at_hand.drain(usize::MAX).0, at_hand.classes().count()), (PLACES, 0));
    }
}
