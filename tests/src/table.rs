//! An array in a mapping of its own: bookkeeping that no allocator under test ever sees.

use std::ops::{Deref, DerefMut};

/// `len` zeroed items. Only for types to which all-zero bytes are a value.
pub struct Table<T: Zero> {
    start: *mut T,
    len: usize,
}

/// Types that may come out of zeroed memory.
///
/// # Safety
/// All-zero bytes are a valid value, and dropping one does nothing.
pub unsafe trait Zero: Copy {}

// SAFETY: a plain number.
unsafe impl Zero for u64 {}
// SAFETY: a plain number.
unsafe impl Zero for usize {}
// SAFETY: the null pointer is a value of this type.
unsafe impl Zero for *mut u8 {}

impl<T: Zero> Table<T> {
    pub fn new(len: usize) -> Self {
        // SAFETY: a fresh anonymous mapping; no existing memory is named.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len * size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED, "no room for the test's own table");
        Self { start: start.cast(), len }
    }
}

impl<T: Zero> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping `new` made, which nothing refers to any more.
        unsafe { libc::munmap(self.start.cast(), self.len * size_of::<T>()) };
    }
}

impl<T: Zero> Deref for Table<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: `new` mapped `len` zeroed items, which `Zero` makes values, and `self` owns them.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl<T: Zero> DerefMut for Table<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

// SAFETY: the table owns its mapping as a Box would.
unsafe impl<T: Zero + Send> Send for Table<T> {}
