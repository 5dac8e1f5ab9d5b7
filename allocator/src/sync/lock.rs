//! The lock of the cold paths: a spin lock that soon yields to the scheduler, and then sleeps.
//!
//! ```text
//!   0: open ──compare-exchange──► the holder's token ──store──► 0
//! ```
//!
//! Why a spin lock: its sections are a few hundred instructions, it is const, it never allocates, and the
//! child of a fork can open it. Its word is its holder, so there is no instant at which a lock is taken and
//! nobody knows by whom: a fork's child opens what threads held that it does not have, and leaves alone what
//! its own thread holds, which a signal handler that forks may have interrupted. Never held across a system
//! call that can block long.
//!
//! Edge RELEASE: unlock (Release) → lock (Acquire): what one section wrote, the next one sees.
#![allow(unsafe_code)]

use super::token::token;
use super::{AtomicUsize, MutPtr, Ordering, UnsafeCell};
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
pub use wait::set_watch;

/// The orderings of a lock, so that a model can weaken one and see it fail.
pub trait Orderings {
    const LOCK: Ordering;
    const UNLOCK: Ordering;
}

pub struct Strong;
impl Orderings for Strong {
    const LOCK: Ordering = Ordering::Acquire;
    const UNLOCK: Ordering = Ordering::Release;
}

/// What comes first of the value is beside the lock.
#[repr(C)]
pub struct Lock<T, O: Orderings = Strong> {
    /// The token of the thread that holds it, or 0.
    holder: AtomicUsize,
    value: UnsafeCell<T>,
    orderings: PhantomData<O>,
    /// How often a thread found it taken; not loom's, so that it adds no interleavings.
    #[cfg(brkmap_loom)]
    pub contended: std::sync::atomic::AtomicUsize,
}

// SAFETY: the value is reached by guards only, of which there is one at a time.
unsafe impl<T: Send, O: Orderings> Sync for Lock<T, O> {}

/// The right to the value. It stays with its thread, whose token is in the lock.
pub struct Guard<'a, T, O: Orderings = Strong> {
    lock: &'a Lock<T, O>,
    /// Ends before the lock opens.
    value: ManuallyDrop<MutPtr<T>>,
}

/// How the child of a fork finds a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inherited {
    /// Nobody held it.
    Open,
    /// A thread held it that is not there: what it guards may be half changed. It is open.
    Torn,
    /// The calling thread holds it, and will go on changing what it guards.
    Mine,
}

macro_rules! open {
    ($value:expr) => {
        Lock {
            holder: AtomicUsize::new(0),
            value: UnsafeCell::new($value),
            orderings: PhantomData,
            #[cfg(brkmap_loom)]
            contended: std::sync::atomic::AtomicUsize::new(0),
        }
    };
}

impl<T, O: Orderings> Lock<T, O> {
    #[cfg(not(brkmap_loom))]
    pub const fn new(value: T) -> Self {
        open!(value)
    }

    #[cfg(brkmap_loom)]
    pub fn new(value: T) -> Self {
        open!(value)
    }

    #[inline]
    pub fn lock(&self) -> Guard<'_, T, O> {
        match self.try_lock() {
            Some(guard) => guard,
            None => self.contended(),
        }
    }

    #[cold]
    fn contended(&self) -> Guard<'_, T, O> {
        let mut turn = 0u32;
        loop {
            #[cfg(brkmap_loom)]
            self.contended.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            wait::turn(turn, |slept| wait::watch(slept, self.is_mine()));
            if let Some(guard) = self.try_lock() {
                return guard;
            }
            turn = turn.saturating_add(1);
        }
    }

    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_, T, O>> {
        // RELEASE (Acquire).
        self.holder.compare_exchange(0, token(), O::LOCK, Ordering::Relaxed).ok()?;
        Some(Guard { lock: self, value: ManuallyDrop::new(self.value.get_mut()) })
    }

    /// In the child of a fork: opens the lock, unless the calling thread holds it.
    ///
    /// # Safety
    /// Threads that held it are gone for good, and no other thread of the child has used it yet. The caller
    /// treats the value of a torn lock as one that was left half changed.
    pub unsafe fn inherit(&self) -> Inherited {
        // Relaxed: the fork ordered it.
        match self.holder.load(Ordering::Relaxed) {
            0 => Inherited::Open,
            holder if holder == token() => Inherited::Mine,
            _ => {
                self.holder.store(0, Ordering::Relaxed);
                Inherited::Torn
            }
        }
    }

    /// Looks at the value of an open lock, and writes nothing.
    ///
    /// # Safety
    /// Nobody holds the lock, or takes it meanwhile.
    #[cfg(not(brkmap_loom))]
    pub unsafe fn peek<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        // SAFETY: as the caller vouches.
        self.value.with(|value| f(unsafe { &*value }))
    }

    /// Whether anybody holds it. If not, what the last holder did is seen.
    pub fn is_taken(&self) -> bool {
        // RELEASE (Acquire).
        self.holder.load(O::LOCK) != 0
    }

    /// Whether the calling thread holds it.
    pub fn is_mine(&self) -> bool {
        // Relaxed: asks about this thread's own store.
        self.holder.load(Ordering::Relaxed) == token()
    }
}

impl<T, O: Orderings> Deref for Guard<'_, T, O> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held, so nobody else has the value.
        unsafe { self.value.deref().deref() }
    }
}

impl<T, O: Orderings> DerefMut for Guard<'_, T, O> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`.
        unsafe { self.value.deref().deref() }
    }
}

impl<T, O: Orderings> Drop for Guard<'_, T, O> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: dropped here and nowhere else.
        unsafe { ManuallyDrop::drop(&mut self.value) };
        // RELEASE (Release).
        self.lock.holder.store(0, O::UNLOCK);
    }
}

#[cfg(not(brkmap_loom))]
pub(super) mod wait {
    use crate::base::fatal;
    use core::sync::atomic::{AtomicPtr, Ordering};
    use rustix::thread::{Timespec, nanosleep, sched_yield};
    use spin::relax::{RelaxStrategy, Spin};

    /// Spins this often before the first yield: longer than the longest section takes when its
    /// holder runs on the other core, shorter than a time slice where the holder was preempted.
    const SPINS: u32 = 100;

    /// Yields this often before the first sleep. To yield lets only threads run that are of the waiter's
    /// priority or above: a real-time thread would keep a holder of a lower one from its processor.
    const YIELDS: u32 = 16;
    const YIELDS_END: u32 = SPINS + YIELDS;

    /// Between two looks of a waiter that sleeps.
    const SLEEP: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000 };

    /// A `fn(u32)`, or null.
    static WATCH: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

    /// Has `watch` called before each sleep of who waits for a lock, with the number of its sleeps before:
    /// what it waits for may be a thread that a fork left behind.
    pub fn set_watch(watch: fn(u32)) {
        // Relaxed: the value stands alone.
        WATCH.store(watch as *mut (), Ordering::Relaxed);
    }

    /// Waits a little, the longer the more turns there were. Before it sleeps it calls `watch`, with the
    /// number of its sleeps before.
    #[inline]
    pub fn turn(turn: u32, watch: impl FnOnce(u32)) {
        match turn {
            ..SPINS => Spin::relax(),
            SPINS..YIELDS_END => sched_yield(),
            _ => {
                watch(turn - YIELDS_END);
                _ = nanosleep(&SLEEP);
            }
        }
    }

    #[cold]
    pub fn watch(slept: u32, is_mine: bool) {
        if is_mine {
            // A signal handler that allocates has interrupted its own thread: nobody will ever open it.
            fatal::unreachable_state(c"malloc in a signal handler that interrupted malloc");
        }
        // Relaxed: see `set_watch`.
        let watch = WATCH.load(Ordering::Relaxed);
        if !watch.is_null() {
            // SAFETY: only `set_watch` stores here.
            let watch = unsafe { core::mem::transmute::<*mut (), fn(u32)>(watch) };
            watch(slept);
        }
    }
}

#[cfg(brkmap_loom)]
pub(super) mod wait {
    pub fn set_watch(_watch: fn(u32)) {}

    pub fn turn(_turn: u32, watch: impl FnOnce(u32)) {
        watch(0);
        loom::thread::yield_now();
    }

    pub fn watch(_slept: u32, is_mine: bool) {
        assert!(!is_mine, "a thread waits for itself");
    }
}

#[cfg(all(test, not(brkmap_loom)))]
mod tests {
    use super::{Inherited, Lock};
    use std::sync::Barrier;
    use std::time::Duration;

    /// Not under Miri, which has no sleep by a raw system call.
    #[test]
    #[cfg(not(miri))]
    fn a_waiter_sees_what_a_holder_wrote_that_took_long() {
        static LOCK: Lock<u32> = Lock::new(0);
        let held = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut value = LOCK.lock();
                held.wait();
                // Longer than all spins and yields, so that the waiter sleeps.
                std::thread::sleep(Duration::from_millis(20));
                *value = 7;
            });
            held.wait();
            assert!(LOCK.try_lock().is_none(), "nobody waits: the test shows nothing");
            assert_eq!(*LOCK.lock(), 7);
        });
    }

    #[test]
    fn what_another_thread_held_is_opened_and_what_this_one_holds_stays_closed() {
        let lock = Lock::<u32>::new(0);
        // SAFETY: nobody uses it meanwhile, in all of these.
        assert_eq!(unsafe { lock.inherit() }, Inherited::Open);
        let guard = lock.lock();
        assert!(lock.is_mine());
        // SAFETY: as above.
        assert_eq!(unsafe { lock.inherit() }, Inherited::Mine);
        assert!(lock.try_lock().is_none());
        drop(guard);
        std::thread::scope(|scope| {
            scope.spawn(|| core::mem::forget(lock.lock())).join().expect("the thread")
        });
        assert!(!lock.is_mine() && lock.try_lock().is_none());
        // SAFETY: as above; the guard was forgotten.
        assert_eq!(unsafe { lock.inherit() }, Inherited::Torn);
        assert_eq!(*lock.lock(), 0);
    }
}

#[cfg(all(test, brkmap_loom))]
mod loom_models {
    //! The allocator's sections are of one shape: read the end of something, move it, hand out what is
    //! between. The model is that section, for two threads at once.

    use super::*;
    use loom::sync::Arc;
    use loom::thread;
    use std::sync::atomic::Ordering as Plain;

    fn take<O: Orderings>(end: &Lock<usize, O>, by: usize) -> usize {
        let mut end = end.lock();
        let start = *end;
        *end = start + by;
        start
    }

    /// How many explored executions met the lock held by the other thread, by a third that only asks who
    /// holds it, and by nobody's word but the two's.
    fn explore<O: Orderings + Send + 'static>() -> (usize, usize) {
        let met = std::sync::Arc::new([0; 2].map(std::sync::atomic::AtomicUsize::new));
        let seen = met.clone();
        loom::model(move || {
            let end = Arc::new(Lock::<usize, O>::new(0));
            let other = end.clone();
            let thread = thread::spawn(move || (take(&other, 2), token()));
            // Whoever holds it is named at every instant: a fork's child has nothing else to go by.
            let holder = end.holder.load(Ordering::Relaxed);
            let mine = take(&end, 3);
            let (theirs, token_of_other) = thread.join().unwrap();
            assert!(holder == 0 || holder == token_of_other, "held by nobody that there is");
            assert!(
                (mine, theirs) == (0, 3) || (mine, theirs) == (2, 0),
                "the two took the same: {mine} {theirs}"
            );
            seen[0].fetch_add((end.contended.load(Plain::Relaxed) > 0) as usize, Plain::Relaxed);
            seen[1].fetch_add((holder != 0) as usize, Plain::Relaxed);
        });
        (met[0].load(Plain::Relaxed), met[1].load(Plain::Relaxed))
    }

    #[test]
    fn loom_one_section_sees_what_the_other_wrote_and_a_taken_lock_names_its_holder() {
        let (contended, named) = explore::<Strong>();
        assert!(contended > 0, "no execution was contended: the model shows nothing");
        assert!(named > 0, "no execution looked at a taken lock: the model shows nothing");
    }

    struct WeakUnlock;
    impl Orderings for WeakUnlock {
        const LOCK: Ordering = Ordering::Acquire;
        const UNLOCK: Ordering = Ordering::Relaxed;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_unlock_is_caught() {
        explore::<WeakUnlock>();
    }

    struct WeakLock;
    impl Orderings for WeakLock {
        const LOCK: Ordering = Ordering::Relaxed;
        const UNLOCK: Ordering = Ordering::Release;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_lock_is_caught() {
        explore::<WeakLock>();
    }
}
