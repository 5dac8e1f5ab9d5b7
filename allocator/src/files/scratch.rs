//! Memory for as long as a profile is written, from the kernel.
#![allow(unsafe_code)]

use crate::base::units::round_up;
use crate::base::why::OF_PROFILE;
use crate::os::Os;
use core::ops::{Deref, DerefMut};

/// A slice of zeros at first.
pub struct Scratch<'a, T: Plain, O: Os> {
    os: &'a O,
    at: *mut T,
    count: usize,
    bytes: usize,
}

/// A type of which zero bytes are a value, and that needs no more alignment than a page has.
///
/// # Safety
/// As it says.
pub unsafe trait Plain: Copy {}

// SAFETY: numbers.
unsafe impl Plain for u8 {}
// SAFETY: numbers.
unsafe impl Plain for u32 {}
// SAFETY: numbers.
unsafe impl Plain for usize {}
// SAFETY: numbers.
unsafe impl<const N: usize> Plain for [usize; N] {}

impl<'a, T: Plain, O: Os> Scratch<'a, T, O> {
    pub fn new(os: &'a O, count: usize) -> Option<Self> {
        let bytes = round_up(count.checked_mul(size_of::<T>())?.max(1), os.page())?;
        let at = os.map(bytes, OF_PROFILE)?.cast();
        Some(Scratch { os, at, count, bytes })
    }
}

impl<T: Plain, O: Os> Deref for Scratch<'_, T, O> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: a mapping of so many at least, this value's alone; zeros are values.
        unsafe { core::slice::from_raw_parts(self.at, self.count) }
    }
}

impl<T: Plain, O: Os> DerefMut for Scratch<'_, T, O> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { core::slice::from_raw_parts_mut(self.at, self.count) }
    }
}

impl<T: Plain, O: Os> Drop for Scratch<'_, T, O> {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nobody has it any more.
        unsafe { self.os.unmap(self.at.cast(), self.bytes, OF_PROFILE) };
    }
}
