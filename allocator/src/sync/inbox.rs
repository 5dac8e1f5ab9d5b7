//! The inbox of a heap: other threads push parcels of blocks; all of them are taken at once, by the owner or
//! by a sender, under the heap's lock.
//!
//! ```text
//!   head ──► parcel C ──► parcel B ──► parcel A       each parcel: blocks of one class; its label links
//!   (units waiting)       (its count)  (its count)    the parcels and carries the count
//! ```
//!
//! One word, replaced whole: it is consistent at every instant, so a fork can copy it in any state.
//! ABA is no danger: nobody pops one element, `take_all` leaves nothing behind.
//!
//! Edge PUBLISH: push's CAS (Release) → take_all's swap (Acquire): the taker sees every link that the
//! sender wrote into the parcel. CASes of other senders in between are read-modify-writes, so they
//! continue the release sequence of each earlier one: one swap acquires from all senders.
#![allow(unsafe_code)]

use super::{AtomicU64, Ordering};

pub const LINK_BITS: u32 = 45;
const LINK_MASK: u64 = (1 << LINK_BITS) - 1;
const COUNT_MAX: u64 = (1 << (64 - LINK_BITS)) - 1;

/// A link (0: none) and a count in one word: 45 and 19 bits.
///
/// The link is an address in units of 16 bytes, plus one: 2^44 units are all 48 bits of addresses. The
/// count is enough for 8 MiB in those units, and for the blocks of any magazine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Packed(pub u64);

impl Packed {
    /// A count that does not fit is held at the largest that does.
    #[inline]
    pub fn new(link: u64, count: u64) -> Packed {
        debug_assert!(link <= LINK_MASK);
        Packed(link | count.min(COUNT_MAX) << LINK_BITS)
    }

    #[inline]
    pub fn link(self) -> u64 {
        self.0 & LINK_MASK
    }

    #[inline]
    pub fn count(self) -> u64 {
        self.0 >> LINK_BITS
    }

    /// The count does not say how many there are, but that they are as many at least.
    pub fn is_saturated(self) -> bool {
        self.count() == COUNT_MAX
    }
}

/// The orderings of an inbox, so that a model can weaken one and see it fail.
pub trait Orderings {
    const PUSH: Ordering;
    const TAKE: Ordering;
}

pub struct Strong;
impl Orderings for Strong {
    const PUSH: Ordering = Ordering::Release;
    const TAKE: Ordering = Ordering::Acquire;
}

pub struct Inbox<O = Strong> {
    head: AtomicU64,
    orderings: core::marker::PhantomData<O>,
}

impl<O: Orderings> Inbox<O> {
    #[cfg(not(brkmap_loom))]
    pub const fn new() -> Self {
        Inbox { head: AtomicU64::new(0), orderings: core::marker::PhantomData }
    }

    #[cfg(brkmap_loom)]
    pub fn new() -> Self {
        Inbox { head: AtomicU64::new(0), orderings: core::marker::PhantomData }
    }

    /// Pushes the parcel at `link`, weighing `units`. `set_next` is called, maybe more than once, with
    /// the link that this parcel is to carry to the one behind it. Returns the units now waiting.
    #[inline]
    pub fn push(&self, link: u64, units: u64, mut set_next: impl FnMut(u64)) -> u64 {
        // Relaxed: the value is only a guess for the CAS, which checks it.
        let mut old = Packed(self.head.load(Ordering::Relaxed));
        loop {
            set_next(old.link());
            let new = Packed::new(link, old.count() + units);
            // PUBLISH (Release); on failure the value is again only a guess.
            match self.head.compare_exchange_weak(old.0, new.0, O::PUSH, Ordering::Relaxed) {
                Ok(_) => return new.count(),
                Err(now) => old = Packed(now),
            }
        }
    }

    /// Whether nothing waits: at some instant, unless a fence orders the look (edge NOTICE).
    pub fn is_empty(&self) -> bool {
        // Relaxed: see above.
        self.head.load(Ordering::Relaxed) == 0
    }

    /// The units that wait, at some instant; more than a word can count are held at the most that it can.
    pub fn waiting(&self) -> u64 {
        // Relaxed: see above.
        Packed(self.head.load(Ordering::Relaxed)).count()
    }

    /// The link of the newest parcel, 0 where nothing waits, and the units of all. The inbox is empty then.
    #[inline]
    pub fn take_all(&self) -> Packed {
        // Relaxed: only spares the swap where there is nothing; what is missed now is taken next time.
        if self.head.load(Ordering::Relaxed) == 0 {
            return Packed(0);
        }
        // PUBLISH (Acquire).
        Packed(self.head.swap(0, O::TAKE))
    }
}

#[cfg(all(test, brkmap_loom))]
mod loom_models {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;
    use std::sync::atomic::{AtomicUsize, Ordering as Plain};

    const SENDERS: usize = 2;

    struct Model<O> {
        inbox: Inbox<O>,
        next: [UnsafeCell<u64>; SENDERS],
    }

    impl<O: Orderings> Model<O> {
        fn send(&self, item: usize) {
            // SAFETY: until it is pushed, the item is this thread's; loom checks the claim.
            self.inbox
                .push(item as u64 + 1, 1, |next| self.next[item].with_mut(|cell| unsafe { *cell = next }));
        }

        /// Takes all and walks it; how many items there were.
        fn drain(&self) -> usize {
            let waiting = self.inbox.take_all();
            let (mut link, mut items) = (waiting.link(), 0);
            while link != 0 {
                items += 1;
                // SAFETY: taken items are the owner's; loom checks the claim.
                link = self.next[link as usize - 1].with(|cell| unsafe { *cell });
            }
            assert_eq!(items as u64, waiting.count(), "the chain is not what its count says");
            items
        }
    }

    /// Two senders against an owner that drains while they run. Returns in how many executions a
    /// drain before the join met a push.
    fn explore<O: Orderings + Send + Sync + 'static>() -> usize {
        let met = std::sync::Arc::new(AtomicUsize::new(0));
        let seen = met.clone();
        loom::model(move || {
            let model =
                Arc::new(Model::<O> { inbox: Inbox::new(), next: [UnsafeCell::new(0), UnsafeCell::new(0)] });
            let senders: Vec<_> = (0..SENDERS)
                .map(|item| {
                    let model = model.clone();
                    thread::spawn(move || model.send(item))
                })
                .collect();
            let mut items = 0;
            for _ in 0..2 {
                items += model.drain();
                thread::yield_now();
            }
            if items > 0 {
                seen.fetch_add(1, Plain::Relaxed);
            }
            for sender in senders {
                sender.join().unwrap();
            }
            items += model.drain();
            assert_eq!(items, SENDERS, "a chain was lost or seen twice");
        });
        met.load(Plain::Relaxed)
    }

    #[test]
    fn loom_every_chain_is_taken_once_with_its_links() {
        let met = explore::<Strong>();
        assert!(met > 100, "only {met} executions drained while a sender ran: the model shows nothing");
    }

    struct WeakPush;
    impl Orderings for WeakPush {
        const PUSH: Ordering = Ordering::Relaxed;
        const TAKE: Ordering = Ordering::Acquire;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_push_is_caught() {
        explore::<WeakPush>();
    }

    struct WeakTake;
    impl Orderings for WeakTake {
        const PUSH: Ordering = Ordering::Release;
        const TAKE: Ordering = Ordering::Relaxed;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_take_is_caught() {
        explore::<WeakTake>();
    }
}

#[cfg(all(test, not(brkmap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_link_and_count_apart() {
        let packed = Packed::new(LINK_MASK, 5);
        assert_eq!((packed.link(), packed.count()), (LINK_MASK, 5));
        assert_eq!(Packed::new(1, u64::MAX).count(), COUNT_MAX);
        assert_eq!(Packed::new(1, u64::MAX).link(), 1);
        assert!(Packed::new(1, COUNT_MAX + 1).is_saturated() && !Packed::new(LINK_MASK, 5).is_saturated());
    }

    #[test]
    fn a_sum_that_does_not_fit_stays_the_largest_and_the_links_whole() {
        let inbox = Inbox::<Strong>::new();
        let mut next = 0;
        inbox.push(LINK_MASK, COUNT_MAX - 1, |_| {});
        assert_eq!(inbox.push(1, 3, |link| next = link), COUNT_MAX);
        assert_eq!((inbox.take_all(), next), (Packed::new(1, COUNT_MAX), LINK_MASK));
    }

    #[test]
    fn taken_newest_first_and_then_empty() {
        let inbox = Inbox::<Strong>::new();
        let mut next = [0u64; 3];
        for item in 1..=3u64 {
            let waiting = inbox.push(item, 10, |link| next[item as usize - 1] = link);
            assert_eq!(waiting, item * 10);
        }
        assert_eq!(inbox.take_all(), Packed::new(3, 30));
        assert_eq!(next, [0, 1, 2]);
        assert_eq!(inbox.take_all(), Packed(0));
    }
}
