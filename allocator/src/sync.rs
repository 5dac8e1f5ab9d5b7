//! What threads share, as small state machines: each file lists its edges, cites them at every
//! site, and has its loom models beside it.
//!
//! Under `--cfg brkmap_loom` this is the only module built: it knows nothing of raw memory, so that loom
//! can replace its atomics and explore every interleaving.
#![allow(unsafe_code)]

pub mod appended;
pub mod birth;
pub mod blank;
pub mod drain;
pub mod fences;
pub mod held;
pub mod holder;
pub mod inbox;
pub mod lock;
pub mod seats;
pub mod started;
pub mod stores;
pub mod token;

#[cfg(not(brkmap_loom))]
pub use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
#[cfg(brkmap_loom)]
pub use loom::cell::{MutPtr, UnsafeCell};
#[cfg(brkmap_loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

/// core's cell with loom's interface.
#[cfg(not(brkmap_loom))]
pub struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

#[cfg(not(brkmap_loom))]
impl<T> UnsafeCell<T> {
    pub const fn new(value: T) -> Self {
        UnsafeCell(core::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    #[inline(always)]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }

    /// For an access that lasts as long as the pointer does.
    #[inline(always)]
    pub fn get_mut(&self) -> MutPtr<T> {
        MutPtr(self.0.get())
    }
}

/// A pointer with loom's interface.
#[cfg(not(brkmap_loom))]
pub struct MutPtr<T>(*mut T);

#[cfg(not(brkmap_loom))]
impl<T> MutPtr<T> {
    /// # Safety
    /// Nothing else touches the value while the reference is alive.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn deref(&self) -> &mut T {
        // SAFETY: a cell's value; the rest is as the caller vouches.
        unsafe { &mut *self.0 }
    }
}
