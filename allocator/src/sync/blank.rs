//! Which of many things are blank: without their contents, to be made anew before they are used.
//!
//! ```text
//!   owner    mark it blank ─► fence ─► does anybody look? ─ no: wipe it
//!   looker   say so ─► fence ─► is it blank? ─ no: look at it
//! ```
//!
//! Its owner alone marks a thing, wipes it and makes it anew. Who looks through all things meets those of
//! others, and must not be at one while it is wiped, nor be the first to use it again.
//!
//! Edge LOOK: the two fences (SeqCst) stand between a store and a look at what the other side stored. The
//! side whose fence comes second sees the other's store: the owner finds that somebody looks, or the looker
//! that it is blank. Without them both may miss it. What an earlier looker did is ordered by its lock (edge
//! RELEASE).
#![allow(unsafe_code)]

use super::fences::{Fences, Strong};
use super::lock::{Guard, Lock};
use super::{AtomicU64, Ordering, fence};

/// Things of a word of bits.
const BITS: usize = u64::BITS as usize;

/// `WORDS` words of bits. What is asked of a thing that there is not is not done.
pub struct Blank<const WORDS: usize, F = Strong> {
    words: [AtomicU64; WORDS],
    /// Taken by who looks through all things, one thread at a time.
    looks: Lock<()>,
    fences: core::marker::PhantomData<F>,
}

impl<const WORDS: usize, F: Fences> Blank<WORDS, F> {
    #[cfg(not(brkmap_loom))]
    pub const fn none() -> Self {
        Blank {
            words: [const { AtomicU64::new(0) }; WORDS],
            looks: Lock::new(()),
            fences: core::marker::PhantomData,
        }
    }

    #[cfg(brkmap_loom)]
    pub fn none() -> Self {
        Blank {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            looks: Lock::new(()),
            fences: core::marker::PhantomData,
        }
    }

    /// Whether a thing is blank: its owner knows, and who looks through all things.
    pub fn is(&self, at: usize) -> bool {
        // Relaxed: the owner reads its own store, or that of the owner before it; for others see LOOK.
        self.words.get(at / BITS).is_some_and(|word| word.load(Ordering::Relaxed) & bit(at) != 0)
    }

    /// Marks the calling thread's thing, which it is to wipe then. False where somebody looks: it is as it
    /// was.
    pub fn mark(&self, at: usize) -> bool {
        let Some(word) = self.words.get(at / BITS) else { return false };
        word.fetch_or(bit(at), Ordering::Relaxed);
        if F::FENCES {
            // LOOK: behind the mark.
            fence(Ordering::SeqCst);
        }
        let may = !self.looks.is_taken();
        if !may {
            self.unmark(at);
        }
        may
    }

    /// The calling thread's thing is made anew, or was not wiped.
    pub fn unmark(&self, at: usize) {
        if let Some(word) = self.words.get(at / BITS) {
            word.fetch_and(!bit(at), Ordering::Relaxed);
        }
    }

    /// Until the guard is dropped nothing is wiped that is not blank. The other threads that look wait for
    /// it.
    pub fn look(&self) -> Guard<'_, ()> {
        let looks = self.looks.lock();
        if F::FENCES {
            // LOOK: behind the lock's word.
            fence(Ordering::SeqCst);
        }
        looks
    }

    /// How many of the first `things` are blank.
    pub fn count(&self, things: usize) -> u32 {
        let words = self.words.iter().take(things.div_ceil(BITS));
        words.map(|word| word.load(Ordering::Relaxed).count_ones()).sum()
    }

    /// In the child of a fork: nobody looks but perhaps the calling thread.
    ///
    /// # Safety
    /// As for `Lock::inherit`.
    pub unsafe fn inherit(&self) {
        // SAFETY: as the caller vouches; there is nothing behind the lock.
        unsafe { self.looks.inherit() };
    }

    /// Whether the calling thread looks.
    pub fn is_mine(&self) -> bool {
        self.looks.is_mine()
    }
}

fn bit(at: usize) -> u64 {
    1 << (at % BITS)
}

#[cfg(all(test, brkmap_loom))]
mod loom_models {
    use super::*;
    use crate::sync::fences::Without;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;
    use std::sync::atomic::{AtomicUsize, Ordering as Plain};

    struct Model<F> {
        blank: Blank<1, F>,
        thing: UnsafeCell<u32>,
    }

    /// An owner that wipes its thing while another looks at all. In how many executions it was wiped, and
    /// looked at.
    fn explore<F: Fences + Send + Sync + 'static>() -> (usize, usize) {
        let met = std::sync::Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let seen = met.clone();
        loom::model(move || {
            let model = Arc::new(Model::<F> { blank: Blank::none(), thing: UnsafeCell::new(7) });
            let other = model.clone();
            let looker = thread::spawn(move || {
                let _looks = other.blank.look();
                // SAFETY: it is not wiped meanwhile; loom checks the claim.
                (!other.blank.is(0)).then(|| other.thing.with(|thing| unsafe { *thing }))
            });
            let wiped = model.blank.mark(0);
            if wiped {
                // SAFETY: nobody looks at it; loom checks the claim.
                model.thing.with_mut(|thing| unsafe { *thing = 0 });
            }
            let looked = looker.join().unwrap();
            assert!(looked.is_none_or(|thing| thing == 7));
            assert_eq!(model.blank.is(0), wiped);
            seen[0].fetch_add(wiped as usize, Plain::Relaxed);
            seen[1].fetch_add(looked.is_some() as usize, Plain::Relaxed);
        });
        (met[0].load(Plain::Relaxed), met[1].load(Plain::Relaxed))
    }

    #[test]
    fn loom_nothing_is_wiped_that_somebody_looks_at() {
        let (wiped, looked) = explore::<Strong>();
        assert!(wiped > 0 && looked > 0, "{wiped} wiped, {looked} looked at: the model shows nothing");
    }

    #[test]
    #[should_panic]
    fn loom_a_missing_fence_is_caught() {
        explore::<Without>();
    }
}

#[cfg(all(test, not(brkmap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_is_counted_and_while_somebody_looks_nothing_is_marked() {
        let blank = Blank::<2>::none();
        assert!(blank.mark(3) && blank.mark(70));
        assert_eq!((blank.is(3), blank.is(4), blank.count(64), blank.count(65)), (true, false, 1, 2));
        let looks = blank.look();
        assert!(!blank.mark(4));
        drop(looks);
        blank.unmark(70);
        assert_eq!((blank.is(4), blank.count(128)), (false, 1));
    }
}
