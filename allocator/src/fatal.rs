//! Ends a program whose heap is broken: one line on standard error, then abort. Nothing here allocates,
//! formats or unwinds.

use core::ffi::CStr;
use rustix::fd::BorrowedFd;

/// The program freed what it did not own.
#[cold]
#[inline(never)]
pub fn invalid_free(what: &'static CStr) -> ! {
    stop(what)
}

/// An invariant of the allocator does not hold: a bug of ours, or memory that the program overwrote.
#[cold]
#[inline(never)]
pub fn unreachable_state(what: &'static CStr) -> ! {
    stop(what)
}

/// Writes a warning to standard error, and goes on. Errno stays as it was.
#[cold]
pub fn warn(what: &'static CStr) {
    for part in [c"brkmap: ", what, c"\n"] {
        // SAFETY: standard error, which nobody owns. Where it is closed the write fails, and nobody can be
        // told.
        let _ = rustix::io::write(unsafe { BorrowedFd::borrow_raw(2) }, part.to_bytes());
    }
}

fn stop(what: &'static CStr) -> ! {
    warn(what);
    // SAFETY: no preconditions; does not return.
    unsafe { libc::abort() }
}
