//! A heap's slabs behind their lock, with figures about them that anybody reads without it.
#![allow(unsafe_code)]

use super::door::Door;
use crate::slab::slabs::Slabs;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::ptr::null;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

pub struct Guarded {
    /// The lock. Null only of a heap that was never made.
    door: AtomicPtr<Door>,
    slabs: UnsafeCell<Slabs>,
    figures: Figures,
}

// SAFETY: the slabs are reached by guards only, of which there is one at a time.
unsafe impl Sync for Guarded {}

/// As the lock was last opened. Relaxed everywhere: each stands alone, and publishes nothing.
struct Figures {
    slabs: AtomicUsize,
    resident: AtomicUsize,
    used: AtomicUsize,
    kept: AtomicUsize,
}

/// The right to the slabs, which stays with its thread. What is said of them follows when it ends, before the
/// lock opens.
pub struct Guard<'a> {
    door: &'a Door,
    slabs: *mut Slabs,
    figures: &'a Figures,
}

impl Guarded {
    pub const fn new() -> Self {
        Guarded {
            door: AtomicPtr::new(null::<Door>().cast_mut()),
            slabs: UnsafeCell::new(Slabs::new()),
            figures: Figures::new(),
        }
    }

    /// Has `door` guard the slabs.
    ///
    /// # Safety
    /// It stays as long as this does, and guards nothing else; nobody else uses this yet.
    pub unsafe fn set_door(&self, door: &Door) {
        // Relaxed: the heap is published with its seat.
        self.door.store(core::ptr::from_ref(door).cast_mut(), Ordering::Relaxed);
    }

    #[inline]
    fn door(&self) -> &Door {
        // Relaxed: who knows of the heap got it behind `set_door`.
        // SAFETY: set before the heap was published, and it stays (`set_door`).
        unsafe { &*self.door.load(Ordering::Relaxed) }
    }

    #[inline]
    pub fn lock(&self) -> Guard<'_> {
        let door = self.door();
        door.holder.lock();
        self.guard(door)
    }

    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_>> {
        let door = self.door();
        door.holder.try_lock().then(|| self.guard(door))
    }

    #[inline]
    fn guard<'a>(&'a self, door: &'a Door) -> Guard<'a> {
        Guard { door, slabs: self.slabs.get(), figures: &self.figures }
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

impl Guard<'_> {
    /// Opens the lock of slabs that were wiped: they and what is said of them are not touched again.
    ///
    /// # Safety
    /// Nobody uses them before they are made anew.
    pub unsafe fn leave_wiped(self) {
        let door = self.door;
        core::mem::forget(self);
        door.say_round(0);
        // SAFETY: the guard held the lock, and is gone.
        unsafe { door.holder.unlock() };
    }
}

impl Deref for Guard<'_> {
    type Target = Slabs;

    #[inline]
    fn deref(&self) -> &Slabs {
        // SAFETY: the lock is held, so nobody else has the slabs.
        unsafe { &*self.slabs }
    }
}

impl DerefMut for Guard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Slabs {
        // SAFETY: as in `deref`.
        unsafe { &mut *self.slabs }
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        let figures = self.figures;
        figures.slabs.store(self.slab_bytes(), Ordering::Relaxed);
        figures.resident.store(self.resident_bytes(), Ordering::Relaxed);
        figures.used.store(self.used_bytes(), Ordering::Relaxed);
        figures.kept.store(self.kept_bytes(), Ordering::Relaxed);
        self.door.say_round(self.round_by());
        // SAFETY: the lock is held as long as the guard is there, and no reference to the slabs outlives it.
        unsafe { self.door.holder.unlock() };
    }
}
