//! Who drains an inbox whose owner sleeps: whoever gets the lock, as long as something waits.
//!
//! ```text
//!   sender   push ─► fence ─► is the lock free? ─ no: whoever holds it will look ─► leave
//!   holder   drain ─► unlock ─► fence ─► does anything wait? ─ yes: again
//! ```
//!
//! Whoever held the lock for something else calls `drain` behind it too. Only the owner of a heap whose
//! slabs are mostly used does not: what was pushed meanwhile waits for the next sender or its own next
//! refill, and is no more than INBOX_STEAL and what was sent while it held the lock.
//!
//! Edge NOTICE: the two fences (SeqCst) stand between a store and a look at what the other side stored. One
//! of them comes first in the single order of such fences, and the side whose fence comes second sees the
//! other's store: the sender finds the lock free, or the holder finds what was pushed. Without them both
//! looks may miss, and a parcel may wait for ever.
#![allow(unsafe_code)]

use super::fences::Fences;
use super::inbox::Inbox;
use super::{Ordering, fence};

/// Calls `try_drain`, which takes all that waits under a lock if that is free, for as long as something
/// waits. It says whether the lock was free.
pub fn drain<F: Fences>(inbox: &Inbox, mut try_drain: impl FnMut() -> bool) {
    loop {
        if F::FENCES {
            // NOTICE: behind this thread's push, or its unlock.
            fence(Ordering::SeqCst);
        }
        if inbox.is_empty() || !try_drain() {
            return;
        }
    }
}

#[cfg(all(test, brkmap_loom))]
mod loom_models {
    use super::*;
    use crate::sync::UnsafeCell;
    use crate::sync::fences::{Strong, Without};
    use crate::sync::lock::Lock;
    use loom::sync::Arc;
    use loom::thread;
    use std::sync::atomic::{AtomicUsize, Ordering as Plain};

    const SENDERS: usize = 2;

    struct Model {
        inbox: Inbox,
        next: [UnsafeCell<u64>; SENDERS],
        /// How many items were drained.
        drained: Lock<usize>,
    }

    impl Model {
        /// Sends an item; how often the lock was not free.
        fn send<F: Fences>(&self, item: usize) -> usize {
            // SAFETY: until it is pushed, the item is this thread's; loom checks the claim.
            self.inbox
                .push(item as u64 + 1, 1, |next| self.next[item].with_mut(|cell| unsafe { *cell = next }));
            self.drain::<F>()
        }

        /// Holds the lock for something else, as `malloc_trim` does, and meets nobody.
        fn look(&self) -> usize {
            drop(self.drained.lock());
            0
        }

        fn drain<F: Fences>(&self) -> usize {
            let mut busy = 0;
            drain::<F>(&self.inbox, || {
                let Some(mut drained) = self.drained.try_lock() else {
                    busy += 1;
                    return false;
                };
                let mut link = self.inbox.take_all().link();
                while link != 0 {
                    *drained += 1;
                    // SAFETY: taken items are the taker's; loom checks the claim.
                    link = self.next[link as usize - 1].with(|cell| unsafe { *cell });
                }
                true
            });
            busy
        }
    }

    /// A sender to an owner that sleeps, and another thread that does `other`; `sent` items in all. Returns
    /// in how many executions one met the other's lock.
    fn explore<F: Fences + 'static>(
        sent: usize,
        other: impl Fn(&Model) -> usize + Copy + Send + Sync + 'static,
    ) -> usize {
        let met = std::sync::Arc::new(AtomicUsize::new(0));
        let seen = met.clone();
        loom::model(move || {
            let model = Arc::new(Model {
                inbox: Inbox::new(),
                next: [UnsafeCell::new(0), UnsafeCell::new(0)],
                drained: Lock::new(0),
            });
            let thread = {
                let model = model.clone();
                thread::spawn(move || other(&model))
            };
            let busy = model.send::<F>(0) + thread.join().unwrap();
            seen.fetch_add((busy > 0) as usize, Plain::Relaxed);
            assert!(model.inbox.is_empty(), "something waits, and nobody will look");
            assert_eq!(*model.drained.lock(), sent);
        });
        met.load(Plain::Relaxed)
    }

    #[test]
    fn loom_nothing_waits_when_the_last_sender_left() {
        let met = explore::<Strong>(SENDERS, |model| model.send::<Strong>(1));
        assert!(met > 10, "only {met} executions found the lock taken: the model shows nothing");
    }

    #[test]
    fn loom_nothing_waits_when_the_lock_was_held_for_something_else() {
        let met = explore::<Strong>(1, |model| model.look() + model.drain::<Strong>());
        assert!(met > 0, "the lock was never met: the model shows nothing");
    }

    #[test]
    #[should_panic(expected = "something waits")]
    fn loom_a_holder_that_does_not_look_is_caught() {
        explore::<Strong>(1, Model::look);
    }

    #[test]
    #[should_panic]
    fn loom_a_missing_fence_is_caught() {
        explore::<Without>(SENDERS, |model| model.send::<Without>(1));
    }
}
