//! C23's frees that are told the size: a size that the block was not asked for with ends the program.
#![allow(unsafe_code)]

use super::family::free;
use super::hand_on;
use super::names::{Front, Name};
use crate::base::fatal;
use crate::process::ALLOCATOR;
use core::ffi::{CStr, c_void};

/// What is said of a pointer at which no block begins, and of a size that is not the block's.
struct Words {
    pointer: &'static CStr,
    size: &'static CStr,
}

/// # Safety
/// As for `free`.
pub unsafe fn free_sized<F: Front>(block: *mut c_void, size: usize) {
    const WORDS: Words =
        Words { pointer: c"free_sized(): invalid pointer", size: c"free_sized(): invalid size" };
    // SAFETY: as the caller vouches.
    unsafe { checked::<F>(Name::FreeSized, &WORDS, block, 1, size) }
}

/// # Safety
/// As for `free`.
pub unsafe fn free_aligned_sized<F: Front>(block: *mut c_void, align: usize, size: usize) {
    const WORDS: Words = Words {
        pointer: c"free_aligned_sized(): invalid pointer",
        size: c"free_aligned_sized(): invalid size",
    };
    // As memalign takes it.
    let align = align.checked_next_power_of_two().unwrap_or(usize::MAX / 2 + 1);
    // SAFETY: as the caller vouches.
    unsafe { checked::<F>(Name::FreeAlignedSized, &WORDS, block, align, size) }
}

/// # Safety
/// As for `free`.
unsafe fn checked<F: Front>(name: Name, words: &Words, block: *mut c_void, align: usize, size: usize) {
    // SAFETY: as the caller vouches.
    if unsafe { hand_on::free::<F>(name, block) } || block.is_null() {
        return;
    }
    match ALLOCATOR.may_have_size(block.cast(), size, align) {
        // SAFETY: as the caller vouches.
        Some(true) => unsafe { free::<F>(block) },
        Some(false) => fatal::wrong_use(words.size, block.cast()),
        None => fatal::wrong_use(words.pointer, block.cast()),
    }
}
