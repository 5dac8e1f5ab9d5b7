//! Birth: whether a process has put right what its fork copied.
//!
//! ```text
//!   0: a child that nobody looked over ──compare-exchange──► the token of who does it ──store──► LOOKED_OVER
//! ```
//!
//! The word is to lie where a fork's child finds zero, so that each thread sees in one look, on its way into
//! a slow path, whether it may rely on what is there. The first one that comes repairs it; others, which it
//! may have started by then, wait for that.
//!
//! Edge REPAIR: the store behind the repair (Release) → the look that finds it done (Acquire).
#![allow(unsafe_code)]

use super::holder::wait;
use super::{AtomicUsize, Ordering};

/// The orderings of the edge, so that a model can weaken one and see it fail.
pub trait Orderings {
    const DONE: Ordering;
    const LOOK: Ordering;
}

pub struct Strong;
impl Orderings for Strong {
    const DONE: Ordering = Ordering::Release;
    const LOOK: Ordering = Ordering::Acquire;
}

const NEW: usize = 0;
/// No thread's token.
const LOOKED_OVER: usize = usize::MAX;

#[repr(transparent)]
pub struct Birth<O = Strong> {
    word: AtomicUsize,
    orderings: core::marker::PhantomData<O>,
}

impl<O: Orderings> Birth<O> {
    #[cfg(not(brkmap_loom))]
    pub const fn new() -> Self {
        Birth { word: AtomicUsize::new(NEW), orderings: core::marker::PhantomData }
    }

    #[cfg(brkmap_loom)]
    pub fn new() -> Self {
        Birth { word: AtomicUsize::new(NEW), orderings: core::marker::PhantomData }
    }

    /// Whether nothing is left to be put right.
    #[inline(always)]
    pub fn is_looked_over(&self) -> bool {
        // REPAIR (Acquire).
        self.word.load(O::LOOK) == LOOKED_OVER
    }

    /// Has the first thread that comes do `repair`, and the others wait until it is done. A call from inside
    /// of the repair goes on at once.
    pub fn look_over(&self, me: usize, repair: impl FnOnce()) {
        match self.word.compare_exchange(NEW, me, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {
                repair();
                // REPAIR (Release).
                self.word.store(LOOKED_OVER, O::DONE);
            }
            Err(by) if by == me => {}
            Err(_) => {
                let mut turn = 0;
                while !self.is_looked_over() {
                    wait::turn(turn, |_| ());
                    turn = turn.saturating_add(1);
                }
            }
        }
    }

    /// The process begins: there is nothing that could have been copied.
    pub fn begin(&self) {
        // REPAIR (Release).
        self.word.store(LOOKED_OVER, O::DONE);
    }

    /// Nothing is known of what a fork copied: the word was not zeroed with it.
    pub fn forget(&self) {
        // Relaxed: said by a thread that looks over next.
        self.word.store(NEW, Ordering::Relaxed);
    }
}

#[cfg(all(test, brkmap_loom))]
mod loom_models {
    use super::*;
    use crate::sync::token::token;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;
    use std::sync::atomic::{AtomicUsize, Ordering as Plain};

    struct Model<O> {
        birth: Birth<O>,
        /// What the repair changes, and the threads use.
        state: UnsafeCell<u32>,
    }

    /// Two threads come to use what was copied. Returns in how many executions one of them waited for the
    /// other's repair, or found it done.
    fn explore<O: Orderings + Send + Sync + 'static>() -> usize {
        let met = std::sync::Arc::new(AtomicUsize::new(0));
        let seen = met.clone();
        loom::model(move || {
            let model = Arc::new(Model::<O> { birth: Birth::new(), state: UnsafeCell::new(0) });
            let repairs = std::sync::Arc::new(AtomicUsize::new(0));
            let come = move |model: &Model<O>, repairs: &AtomicUsize| {
                let mut mine = false;
                if !model.birth.is_looked_over() {
                    model.birth.look_over(token(), || {
                        mine = true;
                        repairs.fetch_add(1, Plain::Relaxed);
                        // SAFETY: nobody else looks before it is done; loom checks the claim.
                        model.state.with_mut(|state| unsafe { *state += 1 });
                    });
                }
                // SAFETY: nobody changes it any more; loom checks the claim.
                assert_eq!(model.state.with(|state| unsafe { *state }), 1, "used before it was repaired");
                mine
            };
            let (other, counted) = (model.clone(), repairs.clone());
            let thread = thread::spawn(move || come(&other, &counted));
            let mine = come(&model, &repairs);
            assert!(mine != thread.join().unwrap(), "it was repaired twice");
            seen.fetch_add(!mine as usize, Plain::Relaxed);
            assert_eq!(repairs.load(Plain::Relaxed), 1);
        });
        met.load(Plain::Relaxed)
    }

    #[test]
    fn loom_one_thread_repairs_and_the_others_see_all_of_it() {
        assert!(explore::<Strong>() > 0, "no execution met the other's repair: the model shows nothing");
    }

    struct WeakDone;
    impl Orderings for WeakDone {
        const DONE: Ordering = Ordering::Relaxed;
        const LOOK: Ordering = Ordering::Acquire;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_end_of_the_repair_is_caught() {
        explore::<WeakDone>();
    }

    struct WeakLook;
    impl Orderings for WeakLook {
        const DONE: Ordering = Ordering::Release;
        const LOOK: Ordering = Ordering::Relaxed;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_look_is_caught() {
        explore::<WeakLook>();
    }
}

#[cfg(all(test, not(brkmap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_is_looked_over_once_and_from_inside_it_is_not_waited_for() {
        let birth = Birth::<Strong>::new();
        let mut repairs = 0;
        for _ in 0..2 {
            if !birth.is_looked_over() {
                birth.look_over(7, || {
                    birth.look_over(7, || unreachable!("it is at it"));
                    repairs += 1;
                });
            }
        }
        assert_eq!((repairs, birth.is_looked_over()), (1, true));
        birth.forget();
        assert!(!birth.is_looked_over());
    }
}
