//! The lock of the cold paths: a value, and who holds it (`holder`).
#![allow(unsafe_code)]

use super::holder::Holder;
pub use super::holder::{Inherited, Orderings, Strong, set_watch};
use super::{MutPtr, UnsafeCell};
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};

pub struct Lock<T, O: Orderings = Strong> {
    holder: Holder<O>,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by guards only, of which there is one at a time.
unsafe impl<T: Send, O: Orderings> Sync for Lock<T, O> {}

/// The right to the value. It stays with its thread, whose token is in the lock.
pub struct Guard<'a, T, O: Orderings = Strong> {
    lock: &'a Lock<T, O>,
    /// Ends before the lock opens.
    value: ManuallyDrop<MutPtr<T>>,
}

impl<T, O: Orderings> Lock<T, O> {
    #[cfg(not(brkmap_loom))]
    pub const fn new(value: T) -> Self {
        Lock { holder: Holder::none(), value: UnsafeCell::new(value) }
    }

    #[cfg(brkmap_loom)]
    pub fn new(value: T) -> Self {
        Lock { holder: Holder::none(), value: UnsafeCell::new(value) }
    }

    #[inline]
    pub fn lock(&self) -> Guard<'_, T, O> {
        self.holder.lock();
        self.guard()
    }

    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_, T, O>> {
        self.holder.try_lock().then(|| self.guard())
    }

    #[inline]
    fn guard(&self) -> Guard<'_, T, O> {
        Guard { lock: self, value: ManuallyDrop::new(self.value.get_mut()) }
    }

    /// In the child of a fork: opens the lock, unless the calling thread holds it.
    ///
    /// # Safety
    /// As for `Holder::inherit`. The caller treats the value of a torn lock as one that was left half
    /// changed.
    pub unsafe fn inherit(&self) -> Inherited {
        // SAFETY: as the caller vouches.
        unsafe { self.holder.inherit() }
    }

    /// Whether anybody holds it. If not, what the last holder did is seen.
    pub fn is_taken(&self) -> bool {
        self.holder.is_taken()
    }

    /// Whether the calling thread holds it.
    pub fn is_mine(&self) -> bool {
        self.holder.is_mine()
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
        // SAFETY: a guard is there only while its thread holds the lock, and ends here.
        unsafe { self.lock.holder.unlock() };
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
    use crate::sync::Ordering;
    use crate::sync::token::token;
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
            let holder = end.holder.name();
            let mine = take(&end, 3);
            let (theirs, token_of_other) = thread.join().unwrap();
            assert!(holder == 0 || holder == token_of_other, "held by nobody that there is");
            assert!(
                (mine, theirs) == (0, 3) || (mine, theirs) == (2, 0),
                "the two took the same: {mine} {theirs}"
            );
            seen[0].fetch_add((end.holder.contended.load(Plain::Relaxed) > 0) as usize, Plain::Relaxed);
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
