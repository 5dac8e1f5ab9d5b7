//! A heap's slabs behind their lock, with figures about them that anybody reads without it.
#![allow(unsafe_code)]

use crate::slab::slabs::Slabs;
use crate::sync::lock::{self, Inherited, Lock};
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicUsize, Ordering};

pub struct Guarded {
    slabs: Lock<Slabs>,
    figures: Figures,
}

/// As the lock was last opened. Relaxed everywhere: each stands alone, and publishes nothing.
struct Figures {
    slabs: AtomicUsize,
    resident: AtomicUsize,
    used: AtomicUsize,
    kept: AtomicUsize,
}

/// The right to the slabs. The figures follow when it ends, before the lock opens.
pub struct Guard<'a> {
    slabs: lock::Guard<'a, Slabs>,
    figures: &'a Figures,
}

impl Guarded {
    pub const fn new() -> Self {
        Guarded { slabs: Lock::new(Slabs::new()), figures: Figures::new() }
    }

    #[inline]
    pub fn lock(&self) -> Guard<'_> {
        Guard { slabs: self.slabs.lock(), figures: &self.figures }
    }

    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_>> {
        Some(Guard { slabs: self.slabs.try_lock()?, figures: &self.figures })
    }

    /// # Safety
    /// As for `Lock::inherit`.
    pub unsafe fn inherit(&self) -> Inherited {
        // SAFETY: as the caller vouches.
        unsafe { self.slabs.inherit() }
    }

    /// # Safety
    /// As for `Lock::peek`.
    pub unsafe fn peek<R>(&self, f: impl FnOnce(&Slabs) -> R) -> R {
        // SAFETY: as the caller vouches.
        unsafe { self.slabs.peek(f) }
    }

    pub fn is_mine(&self) -> bool {
        self.slabs.is_mine()
    }

    /// Bytes of the slabs.
    pub fn slab_bytes(&self) -> usize {
        self.figures.slabs.load(Ordering::Relaxed)
    }

    /// Those that may have memory behind them.
    pub fn resident_bytes(&self) -> usize {
        self.figures.resident.load(Ordering::Relaxed)
    }

    /// Bytes of blocks that are with the program, in magazines, or on their way.
    pub fn used_bytes(&self) -> usize {
        self.figures.used.load(Ordering::Relaxed)
    }

    /// Bytes of blocks in the depot.
    pub fn kept_bytes(&self) -> usize {
        self.figures.kept.load(Ordering::Relaxed)
    }
}

impl Figures {
    const fn new() -> Figures {
        Figures {
            slabs: AtomicUsize::new(0),
            resident: AtomicUsize::new(0),
            used: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
        }
    }
}

impl Deref for Guard<'_> {
    type Target = Slabs;

    #[inline]
    fn deref(&self) -> &Slabs {
        &self.slabs
    }
}

impl DerefMut for Guard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Slabs {
        &mut self.slabs
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.figures.slabs.store(self.slabs.slab_bytes(), Ordering::Relaxed);
        self.figures.resident.store(self.slabs.resident_bytes(), Ordering::Relaxed);
        self.figures.used.store(self.slabs.used_bytes(), Ordering::Relaxed);
        self.figures.kept.store(self.slabs.kept_bytes(), Ordering::Relaxed);
    }
}
