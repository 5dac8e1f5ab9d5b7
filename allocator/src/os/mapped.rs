//! Memory that is mapped when somebody needs it, and found without a lock: what most processes never need
//! takes no addresses of theirs.
//!
//! ```text
//!   null ──make: map, compare-exchange──► where it is ──unmap, at the end──► null
//! ```
//!
//! Two threads may come to make it at once, and a signal handler into the middle: whose exchange comes second
//! unmaps what it mapped. A fork's child finds what was entered.
//!
//! Edge CHUNK: a mapping entered (Release) → found (Acquire).
#![allow(unsafe_code)]

use super::Os;
use crate::base::checked::Checked;
use crate::base::units::round_up;
use crate::base::why::Why;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// A type of which zero bytes are a value, and which threads share by references.
///
/// # Safety
/// As it says.
pub unsafe trait Zeroed: Sync {}

// SAFETY: one atomic word, for each of these.
unsafe impl Zeroed for AtomicU16 {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicU32 {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicU64 {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicUsize {}
// SAFETY: as each of its elements.
unsafe impl<T: Zeroed, const N: usize> Zeroed for Checked<T, N> {}

/// Elements side by side; as many as `make` was told. Zero bytes are a value: nothing.
pub struct Mapped<T>(AtomicPtr<T>);

// SAFETY: a null pointer.
unsafe impl<T: Zeroed> Zeroed for Mapped<T> {}

impl<T: Zeroed> Mapped<T> {
    pub const fn nothing() -> Self {
        Mapped(AtomicPtr::new(null_mut()))
    }

    /// The first element, or null.
    #[inline(always)]
    pub fn first(&self) -> *mut T {
        // CHUNK (Acquire).
        self.0.load(Ordering::Acquire)
    }

    /// The first element, if it is there.
    #[inline(always)]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: null, or a mapping of one element at least, of which zeros are a value. It stays for as
        // long as anybody asks.
        unsafe { self.first().as_ref() }
    }

    /// The first element, where `count` of them are mapped, at least one, if they were not. None where there
    /// is no memory for them.
    #[inline]
    pub fn make<O: Os>(&self, os: &O, count: usize, why: Why) -> Option<&T> {
        if self.first().is_null() {
            enter(os, self.as_bytes(), bytes::<T, O>(os, count)?, why);
        }
        self.get()
    }

    /// Unmaps them, if they are there.
    ///
    /// # Safety
    /// `count` is what `make` was told, and nobody uses them any more.
    pub unsafe fn unmap<O: Os>(&self, os: &O, count: usize, why: Why) {
        if let Some(len) = bytes::<T, O>(os, count) {
            // SAFETY: as the caller vouches.
            unsafe { strike(os, self.as_bytes(), len, why) };
        }
    }

    /// The same pointer, whatever it is to: one body serves for all types.
    fn as_bytes(&self) -> &AtomicPtr<u8> {
        // SAFETY: pointers have one form.
        unsafe { &*(&raw const self.0).cast() }
    }
}

/// Maps `len` bytes, and enters them where nothing is yet.
#[cold]
#[inline(never)]
fn enter<O: Os>(os: &O, place: &AtomicPtr<u8>, len: usize, why: Why) {
    let Some(at) = os.map(len, why) else { return };
    // CHUNK (Release).
    if place.compare_exchange(null_mut(), at, Ordering::Release, Ordering::Relaxed).is_err() {
        // SAFETY: mapped above, and nobody knows of it.
        unsafe { os.unmap(at, len, why) };
    }
}

/// Unmaps what is entered.
///
/// # Safety
/// It is `len` bytes, and nobody uses them any more.
#[cold]
#[inline(never)]
unsafe fn strike<O: Os>(os: &O, place: &AtomicPtr<u8>, len: usize, why: Why) {
    let at = place.swap(null_mut(), Ordering::Relaxed);
    if !at.is_null() {
        // SAFETY: as the caller vouches: the mapping that `enter` made.
        unsafe { os.unmap(at, len, why) };
    }
}

/// Bytes of `count` elements, in whole pages.
fn bytes<T, O: Os>(os: &O, count: usize) -> Option<usize> {
    round_up(count.max(1) * size_of::<T>(), os.page())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::why::OF_PROFILE;
    use crate::os::sim::{Call, Sim};

    #[test]
    fn what_is_mapped_is_mapped_once_and_goes_at_the_end() {
        let (os, words) = (Sim::new(), Mapped::<AtomicU64>::nothing());
        assert!(words.get().is_none());
        os.refuse_everything(true);
        assert!(words.make(&os, 1000, OF_PROFILE).is_none() && words.get().is_none());
        os.refuse_everything(false);
        let before = os.calls(Call::Map);
        words.make(&os, 1000, OF_PROFILE).expect("memory").store(7, Ordering::Relaxed);
        assert_eq!(words.make(&os, 1000, OF_PROFILE).map(|word| word.load(Ordering::Relaxed)), Some(7));
        assert_eq!(os.calls(Call::Map), before + 1);
        // SAFETY: the last of its elements is there, and nobody has a reference to any.
        unsafe {
            assert_eq!((*words.first().add(999)).load(Ordering::Relaxed), 0);
            words.unmap(&os, 1000, OF_PROFILE);
        }
        assert!(words.get().is_none());
    }
}
