//! How C's functions answer, and what they ask of the process.

use super::names::Front;
use crate::base::allocated::Allocated;
use crate::os::Os;
use crate::os::errno::set_errno;
use crate::process::ALLOCATOR;
use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

/// Where these functions are the process's malloc, the break is theirs too.
pub fn claim_break<F: Front>() {
    if F::is_process_malloc() {
        ALLOCATOR.arena.os.claim_break();
    }
}

/// The block, or NULL and ENOMEM.
pub fn give(allocated: Option<Allocated>) -> *mut c_void {
    allocated.map_or_else(|| fail(libc::ENOMEM), |allocated| allocated.block.cast())
}

/// NULL, and errno says why.
#[cold]
pub fn fail(errno: c_int) -> *mut c_void {
    set_errno(errno);
    null_mut()
}

/// Bytes of a page.
pub fn page() -> usize {
    ALLOCATOR.arena.os.page()
}
