//! The lock of the cold paths: a spin lock that soon yields to the scheduler.
//!
//! Why a spin lock: its sections are a few hundred instructions, it is const, it never allocates,
//! and the child of a fork can force it open. Never held across a system call that can block long.
//!
//! Edge RELEASE: unlock (Release) → lock (Acquire): what one section wrote, the next one sees.

#[cfg(not(loom))]
pub use real::Lock;

#[cfg(not(loom))]
mod real {
    use spin::mutex::{SpinMutex, SpinMutexGuard};

    /// Spins this often before the first yield: longer than the longest section takes when its
    /// holder runs on the other core, shorter than a time slice where the holder was preempted.
    const SPINS: u32 = 100;

    pub struct Yield;

    impl spin::RelaxStrategy for Yield {
        #[inline]
        fn relax() {
            rustix::thread::sched_yield();
        }
    }

    pub type Guard<'a, T> = SpinMutexGuard<'a, T, Yield>;

    pub struct Lock<T>(SpinMutex<T, Yield>);

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
            for _ in 0..SPINS {
                core::hint::spin_loop();
                if let Some(guard) = self.0.try_lock_weak() {
                    return guard;
                }
            }
            self.0.lock()
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

#[cfg(all(test, loom))]
mod loom_models {
    //! spin's algorithm re-stated over loom's atomics: a compare-exchange in, a store out. The
    //! allocator's sections are of one shape: read the end of something, move it, hand out what is
    //! between. The model is that section, for two threads growing the break at once.

    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use loom::thread;

    struct Model {
        locked: AtomicBool,
        unlock: Ordering,
        end: UnsafeCell<usize>,
        contended: AtomicUsize,
    }

    impl Model {
        fn grow(&self, by: usize) -> usize {
            while self.locked.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
                self.contended.fetch_add(1, Ordering::Relaxed);
                thread::yield_now();
            }
            let start = self.end.with_mut(|end| {
                // SAFETY: the flag is held, so this thread alone touches the cell; loom checks it.
                unsafe {
                    let start = *end;
                    *end = start + by;
                    start
                }
            });
            self.locked.store(false, self.unlock);
            start
        }
    }

    /// How many explored executions met the lock held by the other thread.
    fn explore(unlock: Ordering) -> usize {
        let met = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let seen = met.clone();
        loom::model(move || {
            let model = Arc::new(Model {
                locked: AtomicBool::new(false),
                unlock,
                end: UnsafeCell::new(0),
                contended: AtomicUsize::new(0),
            });
            let other = model.clone();
            let thread = thread::spawn(move || other.grow(2));
            let mine = model.grow(3);
            let theirs = thread.join().unwrap();
            assert!(
                (mine, theirs) == (0, 3) || (mine, theirs) == (2, 0),
                "the two grew over each other: {mine} {theirs}"
            );
            if model.contended.load(Ordering::Relaxed) > 0 {
                seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        });
        met.load(std::sync::atomic::Ordering::Relaxed)
    }

    #[test]
    fn loom_two_threads_grow_the_break_without_overlap() {
        assert!(explore(Ordering::Release) > 0, "no execution was contended: the model shows nothing");
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_unlock_is_caught() {
        explore(Ordering::Relaxed);
    }
}
