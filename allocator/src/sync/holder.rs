//! The word of a lock, which says who holds it: a spin lock that soon yields to the scheduler, and then
//! sleeps.
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
use super::{AtomicUsize, Ordering};
use core::marker::PhantomData;
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

pub struct Holder<O: Orderings = Strong> {
    /// The token of the thread that holds the lock, or 0.
    word: AtomicUsize,
    orderings: PhantomData<O>,
    /// How often a thread found it taken; not loom's, so that it adds no interleavings.
    #[cfg(brkmap_loom)]
    pub contended: std::sync::atomic::AtomicUsize,
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

macro_rules! none {
    () => {
        Holder {
            word: AtomicUsize::new(0),
            orderings: PhantomData,
            #[cfg(brkmap_loom)]
            contended: std::sync::atomic::AtomicUsize::new(0),
        }
    };
}

impl<O: Orderings> Holder<O> {
    #[cfg(not(brkmap_loom))]
    pub const fn none() -> Self {
        none!()
    }

    #[cfg(brkmap_loom)]
    pub fn none() -> Self {
        none!()
    }

    #[inline]
    pub fn lock(&self) {
        if !self.try_lock() {
            self.wait();
        }
    }

    #[cold]
    fn wait(&self) {
        let mut turn = 0u32;
        loop {
            #[cfg(brkmap_loom)]
            self.contended.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            wait::turn(turn, |slept| wait::watch(slept, self.is_mine()));
            if self.try_lock() {
                return;
            }
            turn = turn.saturating_add(1);
        }
    }

    /// Whether the calling thread holds it from here on.
    #[inline]
    pub fn try_lock(&self) -> bool {
        // RELEASE (Acquire).
        self.word.compare_exchange(0, token(), O::LOCK, Ordering::Relaxed).is_ok()
    }

    /// Opens the lock.
    ///
    /// # Safety
    /// The calling thread holds it, and uses what it guards no more.
    #[inline(always)]
    pub unsafe fn unlock(&self) {
        // RELEASE (Release).
        self.word.store(0, O::UNLOCK);
    }

    /// In the child of a fork: opens the lock, unless the calling thread holds it.
    ///
    /// # Safety
    /// Threads that held it are gone for good, and no other thread of the child has used it yet.
    pub unsafe fn inherit(&self) -> Inherited {
        // Relaxed: the fork ordered it.
        match self.word.load(Ordering::Relaxed) {
            0 => Inherited::Open,
            holder if holder == token() => Inherited::Mine,
            _ => {
                self.word.store(0, Ordering::Relaxed);
                Inherited::Torn
            }
        }
    }

    /// Whether anybody holds it. If not, what the last holder did is seen.
    pub fn is_taken(&self) -> bool {
        // RELEASE (Acquire).
        self.word.load(O::LOCK) != 0
    }

    /// Whether the calling thread holds it.
    pub fn is_mine(&self) -> bool {
        // Relaxed: asks about this thread's own store.
        self.word.load(Ordering::Relaxed) == token()
    }

    /// The token that stands there now, or 0.
    #[cfg(all(test, brkmap_loom))]
    pub fn name(&self) -> usize {
        self.word.load(Ordering::Relaxed)
    }
}

#[cfg(not(brkmap_loom))]
pub(crate) mod wait {
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
pub(crate) mod wait {
    pub fn set_watch(_watch: fn(u32)) {}

    pub fn turn(_turn: u32, watch: impl FnOnce(u32)) {
        watch(0);
        loom::thread::yield_now();
    }

    pub fn watch(_slept: u32, is_mine: bool) {
        assert!(!is_mine, "a thread waits for itself");
    }
}
