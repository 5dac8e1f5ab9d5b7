//! What the first user makes for all: a state behind a lock, and words about it that all read without.
//!
//! ```text
//!   nothing ──start: lock, build, publish──► started: `get` reads the words, `lock` reaches the state
//! ```
//!
//! The arena is one: whoever asks first reserves the tables and moves the break for the first time, and
//! from then on every thread reads where things are, and grows under the lock.
//!
//! Invariants:
//! - I12: Outside the lock, there is a state if and only if its words are published.
//! - I13: The words are written once, before they are published.
//!
//! Edge START: start's store behind the words (Release) → get's load before them (Acquire).
#![allow(unsafe_code)]

#[cfg(not(brkmap_loom))]
use super::lock::Inherited;
use super::lock::{Guard, Lock};
use super::{AtomicBool, Ordering, UnsafeCell};
use core::mem::MaybeUninit;

/// The orderings of the edge, so that a model can weaken one and see it fail.
pub trait Orderings {
    const PUBLISH: Ordering;
    const READ: Ordering;
}

pub struct Strong;
impl Orderings for Strong {
    const PUBLISH: Ordering = Ordering::Release;
    const READ: Ordering = Ordering::Acquire;
}

pub struct Started<S, P, O = Strong> {
    published: Published<P>,
    state: Lock<Option<S>>,
    orderings: core::marker::PhantomData<O>,
}

/// On cache lines that are never written again.
#[repr(align(64))]
struct Published<P> {
    words: UnsafeCell<MaybeUninit<P>>,
    there: AtomicBool,
}

// SAFETY: the state is the lock's; the words are written under the lock before they are published, and only
// read (as copies) from then on (I13).
unsafe impl<S: Send, P: Copy + Send + Sync, O> Sync for Started<S, P, O> {}

macro_rules! nothing {
    () => {
        Started {
            published: Published {
                words: UnsafeCell::new(MaybeUninit::uninit()),
                there: AtomicBool::new(false),
            },
            state: Lock::new(None),
            orderings: core::marker::PhantomData,
        }
    };
}

impl<S, P: Copy, O: Orderings> Started<S, P, O> {
    #[cfg(not(brkmap_loom))]
    pub const fn nothing() -> Self {
        nothing!()
    }

    #[cfg(brkmap_loom)]
    pub fn nothing() -> Self {
        nothing!()
    }

    /// The words, once there are any.
    #[inline]
    pub fn get(&self) -> Option<P> {
        // START (Acquire).
        if !self.published.there.load(O::READ) {
            return None;
        }
        // SAFETY: published, so written and never written again (I13).
        Some(self.published.words.with(|words| unsafe { (*words).assume_init() }))
    }

    /// The words; built first where nothing was. None where `build` has none, and a later call tries again.
    pub fn start(&self, build: impl FnOnce() -> Option<(S, P)>) -> Option<P> {
        if let Some(words) = self.get() {
            return Some(words);
        }
        let mut state = self.state.lock();
        // Somebody may have been faster.
        if state.is_none() {
            let (built, words) = build()?;
            *state = Some(built);
            // SAFETY: the lock is held and the words are not published: nobody reads them.
            self.published.words.with_mut(|at| unsafe { (*at).write(words) });
            // START (Release).
            self.published.there.store(true, O::PUBLISH);
        }
        drop(state);
        self.get()
    }

    /// None inside the guard: not started.
    #[inline]
    pub fn lock(&self) -> Guard<'_, Option<S>> {
        self.state.lock()
    }
}

#[cfg(not(brkmap_loom))]
impl<S, P: Copy> Started<S, P> {
    /// In the child of a fork: opens a lock whose holder is not there. Where one held it the state may be
    /// half changed; one that was being built is dropped as if it had never been.
    ///
    /// # Safety
    /// As for `Lock::inherit`.
    pub unsafe fn reopen(&self) -> Inherited {
        // SAFETY: as the caller vouches.
        let inherited = unsafe { self.state.inherit() };
        if inherited == Inherited::Torn && self.get().is_none() {
            // Half written perhaps: not to be dropped, only to be written over.
            core::mem::forget(self.state.lock().take());
        }
        inherited
    }

    /// Whether the calling thread holds the lock.
    pub fn is_mine(&self) -> bool {
        self.state.is_mine()
    }
}

#[cfg(all(test, brkmap_loom))]
mod loom_models {
    //! The growth of the break as the arena does it: whoever comes first starts it, then each takes what it
    //! wants from the free end, moving the break where that is too short. The kernel's break is a cell
    //! that is read and written in two steps, as sbrk does it: loom reports two threads in it at once.

    use super::*;
    use loom::sync::Arc;
    use loom::thread;
    use std::sync::atomic::{AtomicUsize, Ordering as Plain};

    const STEP: usize = 2;
    const BASE: usize = 7;

    struct Top {
        end: usize,
        free: usize,
    }

    struct Model<O> {
        arena: Started<Top, usize, O>,
        brk: loom::cell::UnsafeCell<usize>,
        /// What the runs are used for: written by whoever was handed one.
        granules: [loom::cell::UnsafeCell<usize>; 4],
    }

    /// In how many executions the threads met, in each of the ways they can.
    #[derive(Default)]
    struct Met {
        /// A reader found the arena started by another thread, which still ran.
        started_by_other: AtomicUsize,
        not_yet: AtomicUsize,
        /// A thread came to start the arena, and waited for the one that did.
        second: AtomicUsize,
        /// A thread was given what the other had made the break move for.
        shared_step: AtomicUsize,
    }

    impl<O: Orderings> Model<O> {
        fn alloc(&self, met: &Met, builds: &AtomicUsize, own: usize) -> usize {
            let before = self.arena.get();
            let mut built = false;
            let base = self.arena.start(|| {
                built = true;
                builds.fetch_add(1, Plain::Relaxed);
                // SAFETY: under the arena's lock; loom checks it.
                let brk = self.brk.with(|brk| unsafe { *brk });
                Some((Top { end: brk, free: 0 }, BASE))
            });
            assert_eq!(base, Some(BASE));
            if before.is_none() && !built {
                met.second.fetch_add(1, Plain::Relaxed);
            }
            let mut guard = self.arena.lock();
            let top = guard.as_mut().expect("a started arena has a state");
            if top.free > 0 {
                met.shared_step.fetch_add(1, Plain::Relaxed);
            } else {
                // SAFETY: as above, for both.
                let brk = self.brk.with(|brk| unsafe { *brk });
                self.brk.with_mut(|at| unsafe { *at = brk + STEP });
                assert_eq!(brk, top.end, "the break moved under the arena");
                top.end += STEP;
                top.free += STEP;
            }
            let granule = top.end - top.free;
            top.free -= 1;
            drop(guard);
            // SAFETY: handed to this thread alone; loom checks the claim.
            self.granules[granule].with_mut(|at| unsafe { *at = own });
            granule
        }
    }

    /// Two threads allocate while a third looks on.
    fn explore<O: Orderings + Send + Sync + 'static>() -> std::sync::Arc<Met> {
        let met = std::sync::Arc::new(Met::default());
        let seen = met.clone();
        loom::model(move || {
            let model = Arc::new(Model::<O> {
                arena: Started::nothing(),
                brk: loom::cell::UnsafeCell::new(0),
                granules: std::array::from_fn(|_| loom::cell::UnsafeCell::new(0)),
            });
            let builds = std::sync::Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = [1, 2]
                .map(|own| {
                    let (model, met, builds) = (model.clone(), seen.clone(), builds.clone());
                    thread::spawn(move || model.alloc(&met, &builds, own))
                })
                .into_iter()
                .collect();
            // Yielding lets the others run first; without it loom never showed a start to this reader.
            for _ in 0..2 {
                match model.arena.get() {
                    Some(base) => {
                        assert_eq!(base, BASE, "published before it was written");
                        seen.started_by_other.fetch_add(1, Plain::Relaxed);
                    }
                    None => drop(seen.not_yet.fetch_add(1, Plain::Relaxed)),
                }
                thread::yield_now();
            }
            let granules: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert_ne!(granules[0], granules[1], "one granule was handed out twice");
            assert_eq!(builds.load(Plain::Relaxed), 1, "the arena was started twice");
            for (granule, own) in granules.iter().zip([1, 2]) {
                // SAFETY: both threads have ended.
                assert_eq!(model.granules[*granule].with(|at| unsafe { *at }), own);
            }
        });
        met
    }

    #[test]
    fn loom_the_break_grows_for_one_at_a_time_and_is_started_once() {
        let met = explore::<Strong>();
        for (count, what) in [
            (&met.started_by_other, "a reader met a start"),
            (&met.not_yet, "a reader came before the start"),
            (&met.second, "two came to start at once"),
            (&met.shared_step, "one used what the other had grown"),
        ] {
            let count = count.load(Plain::Relaxed);
            assert!(count > 10, "in {count} executions {what}: the model shows nothing");
        }
    }

    struct WeakPublish;
    impl Orderings for WeakPublish {
        const PUBLISH: Ordering = Ordering::Relaxed;
        const READ: Ordering = Ordering::Acquire;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_publish_of_the_start_is_caught() {
        explore::<WeakPublish>();
    }

    struct WeakRead;
    impl Orderings for WeakRead {
        const PUBLISH: Ordering = Ordering::Release;
        const READ: Ordering = Ordering::Relaxed;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_read_of_the_start_is_caught() {
        explore::<WeakRead>();
    }
}

#[cfg(all(test, not(brkmap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_built_is_tried_again_and_what_was_is_kept() {
        let started = Started::<u8, u32>::nothing();
        assert_eq!((started.get(), started.start(|| None)), (None, None));
        assert_eq!(started.start(|| Some((1, 10))), Some(10));
        assert_eq!(started.start(|| Some((2, 20))), Some(10));
        assert_eq!((started.get(), *started.lock()), (Some(10), Some(1)));
    }

    #[test]
    fn a_fork_in_the_middle_of_the_start_leaves_nothing_and_a_later_one_the_state() {
        let started = Started::<u8, u32>::nothing();
        let caught = |state| {
            std::thread::scope(|scope| {
                let thread = scope.spawn(|| {
                    let mut torn = started.lock();
                    *torn = state;
                    core::mem::forget(torn);
                });
                thread.join().expect("the thread");
            });
            // SAFETY: the other thread has ended; its guard was forgotten.
            unsafe { started.reopen() }
        };
        assert_eq!(caught(Some(9)), Inherited::Torn);
        assert_eq!((started.get(), started.start(|| Some((1, 10)))), (None, Some(10)));
        assert_eq!(caught(Some(2)), Inherited::Torn);
        assert_eq!(*started.lock(), Some(2), "once it was published it is there");
        let mine = started.lock();
        // SAFETY: nobody uses it meanwhile.
        assert_eq!(unsafe { started.reopen() }, Inherited::Mine);
        drop(mine);
    }
}
