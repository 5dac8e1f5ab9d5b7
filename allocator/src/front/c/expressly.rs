//! Functions that are asked for by a name which means libc's own malloc: never handed on, whoever has the
//! others.
#![allow(unsafe_code)]

use super::answer::{fail, give, page};
use super::family::{self, allocate_aligned, calloc_slow, malloc};
use super::mallinfo::MallInfo;
use super::names::Front;
use super::report;
use crate::base::fatal;
use crate::base::units::round_up;
use crate::process::ALLOCATOR;
use core::ffi::c_void;

/// `__libc_calloc`.
pub fn calloc<F: Front>(count: usize, size: usize) -> *mut c_void {
    count.checked_mul(size).map_or_else(|| fail(libc::ENOMEM), calloc_slow::<F>)
}

/// `__libc_memalign`.
pub fn memalign<F: Front>(align: usize, size: usize) -> *mut c_void {
    match align.checked_next_power_of_two() {
        Some(align) => give(allocate_aligned::<F>(align, size)),
        None => fail(libc::EINVAL),
    }
}

/// `__libc_valloc`.
pub fn valloc<F: Front>(size: usize) -> *mut c_void {
    give(allocate_aligned::<F>(page(), size))
}

/// `__libc_pvalloc`.
pub fn pvalloc<F: Front>(size: usize) -> *mut c_void {
    round_up(size, page()).map_or_else(|| fail(libc::ENOMEM), valloc::<F>)
}

/// `__libc_realloc`. A pointer that is none ends the program.
///
/// # Safety
/// As for `realloc`.
pub unsafe fn realloc<F: Front>(block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() {
        return malloc::<F>(size);
    }
    if ALLOCATOR.usable(block.cast()).is_none() {
        fatal::wrong_use(c"realloc(): invalid pointer", block.cast());
    }
    // SAFETY: as the caller vouches.
    unsafe { family::realloc::<F>(block, size) }
}

/// `__libc_mallinfo`.
pub fn mallinfo<F>() -> MallInfo {
    report::figures().into()
}
