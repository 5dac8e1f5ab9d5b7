//! The lock of the cold paths: a spin lock that soon yields to the scheduler, and then sleeps.
//!
//! Why a spin lock: its sections are a few hundred instructions, it is const, it never allocates,
//! and the child of a fork can force it open. Never held across a system call that can block long.
//!
//! Edge RELEASE: unlock (Release) → lock (Acquire): what one section wrote, the next one sees.

#[cfg(loom)]
pub use model::{Guard, Lock};
#[cfg(not(loom))]
pub use real::{Guard, Lock};

#[cfg(not(loom))]
mod real {
    use rustix::thread::{Timespec, nanosleep, sched_yield};
    use spin::mutex::{SpinMutex, SpinMutexGuard};

    /// Spins this often before the first yield: longer than the longest section takes when its
    /// holder runs on the other core, shorter than a time slice where the holder was preempted.
    const SPINS: u32 = 100;

    /// Yields this often before the first sleep. To yield lets only threads run that are of the waiter's
    /// priority or above: a real-time thread would keep a holder of a lower one from its processor.
    const YIELDS: u32 = 16;
    const YIELDS_END: u32 = SPINS + YIELDS;

    /// Between two looks of a waiter that sleeps.
    const SLEEP: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000 };

    pub type Guard<'a, T> = SpinMutexGuard<'a, T>;

    pub struct Lock<T>(SpinMutex<T>);

    impl<T> Lock<T> {
        pub const fn new(value: T) -> Self {
            Lock(SpinMutex::new(value))
        }

        #[inline]
        pub fn lock(&self) -> Guard<'_, T> {
            match self.0.try_lock() {
                Some(guard) => guard,
                None => self.contended(),
            }
        }

        #[cold]
        fn contended(&self) -> Guard<'_, T> {
            let mut turn = 0u32;
            loop {
                match turn {
                    ..SPINS => core::hint::spin_loop(),
                    SPINS..YIELDS_END => sched_yield(),
                    _ => _ = nanosleep(&SLEEP),
                }
                if let Some(guard) = self.0.try_lock_weak() {
                    return guard;
                }
                turn = turn.saturating_add(1);
            }
        }

        #[inline]
        pub fn try_lock(&self) -> Option<Guard<'_, T>> {
            self.0.try_lock()
        }

        pub fn is_locked(&self) -> bool {
            self.0.is_locked()
        }

        /// Opens the lock whoever holds it.
        ///
        /// # Safety
        /// The holder must be gone for good (the other threads of a process, in the child of its
        /// fork), and the caller must then treat the value as one that was left half changed.
        pub unsafe fn force_unlock(&self) {
            // SAFETY: the caller's contract: no guard of this lock is alive in this process.
            unsafe { self.0.force_unlock() }
        }
    }
}

/// Not under Miri, which has no sleep by a raw system call.
#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use super::Lock;
    use std::sync::Barrier;
    use std::time::Duration;

    #[test]
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
}

/// spin's algorithm re-stated over loom's atomics: a compare-exchange in, a store out.
#[cfg(loom)]
mod model {
    use super::super::{AtomicBool, Ordering, UnsafeCell};
    use loom::cell::MutPtr;
    use std::sync::atomic::{AtomicUsize, Ordering as Plain};

    /// The ordering of the unlock, so that a model can weaken it and see it fail.
    pub trait Unlock {
        const UNLOCK: Ordering;
    }

    pub struct Strong;
    impl Unlock for Strong {
        const UNLOCK: Ordering = Ordering::Release;
    }

    pub struct Lock<T, U: Unlock = Strong> {
        locked: AtomicBool,
        value: UnsafeCell<T>,
        /// How often a thread found it locked; not loom's, so that it adds no interleavings.
        pub contended: AtomicUsize,
        unlock: std::marker::PhantomData<U>,
    }

    pub struct Guard<'a, T, U: Unlock = Strong> {
        /// None while it is dropped: the access ends before the lock opens.
        value: Option<MutPtr<T>>,
        lock: &'a Lock<T, U>,
    }

    // SAFETY: the value is reached by guards only, of which there is one at a time; loom checks that.
    unsafe impl<T: Send, U: Unlock> Sync for Lock<T, U> {}

    impl<T, U: Unlock> Lock<T, U> {
        pub fn new(value: T) -> Self {
            Lock {
                locked: AtomicBool::new(false),
                value: UnsafeCell::new(value),
                contended: AtomicUsize::new(0),
                unlock: std::marker::PhantomData,
            }
        }

        pub fn lock(&self) -> Guard<'_, T, U> {
            // RELEASE (Acquire).
            while self.locked.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
                self.contended.fetch_add(1, Plain::Relaxed);
                loom::thread::yield_now();
            }
            Guard { value: Some(self.value.get_mut()), lock: self }
        }

        pub fn try_lock(&self) -> Option<Guard<'_, T, U>> {
            // RELEASE (Acquire).
            self.locked.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).ok()?;
            Some(Guard { value: Some(self.value.get_mut()), lock: self })
        }
    }

    impl<T, U: Unlock> std::ops::Deref for Guard<'_, T, U> {
        type Target = T;
        fn deref(&self) -> &T {
            // SAFETY: the lock is held, so nobody else has the value; loom checks it.
            unsafe { self.value.as_ref().unwrap().deref() }
        }
    }

    impl<T, U: Unlock> std::ops::DerefMut for Guard<'_, T, U> {
        fn deref_mut(&mut self) -> &mut T {
            // SAFETY: as in `deref`.
            unsafe { self.value.as_ref().unwrap().deref() }
        }
    }

    impl<T, U: Unlock> Drop for Guard<'_, T, U> {
        fn drop(&mut self) {
            self.value = None;
            // RELEASE (Release).
            self.lock.locked.store(false, U::UNLOCK);
        }
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    //! The allocator's sections are of one shape: read the end of something, move it, hand out what is
    //! between. The model is that section, for two threads at once.

    use super::super::Ordering;
    use super::model::{Lock, Strong, Unlock};
    use loom::sync::Arc;
    use loom::thread;
    use std::sync::atomic::{AtomicUsize, Ordering as Plain};

    fn take<U: Unlock>(end: &Lock<usize, U>, by: usize) -> usize {
        let mut end = end.lock();
        let start = *end;
        *end = start + by;
        start
    }

    /// How many explored executions met the lock held by the other thread.
    fn explore<U: Unlock + Send + 'static>() -> usize {
        let met = std::sync::Arc::new(AtomicUsize::new(0));
        let seen = met.clone();
        loom::model(move || {
            let end = Arc::new(Lock::<usize, U>::new(0));
            let other = end.clone();
            let thread = thread::spawn(move || take(&other, 2));
            let mine = take(&end, 3);
            let theirs = thread.join().unwrap();
            assert!(
                (mine, theirs) == (0, 3) || (mine, theirs) == (2, 0),
                "the two took the same: {mine} {theirs}"
            );
            if end.contended.load(Plain::Relaxed) > 0 {
                seen.fetch_add(1, Plain::Relaxed);
            }
        });
        met.load(Plain::Relaxed)
    }

    #[test]
    fn loom_one_section_sees_what_the_other_wrote() {
        assert!(explore::<Strong>() > 0, "no execution was contended: the model shows nothing");
    }

    struct Weak;
    impl Unlock for Weak {
        const UNLOCK: Ordering = Ordering::Relaxed;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_unlock_is_caught() {
        explore::<Weak>();
    }
}
