//! The end of a program whose heap is broken: one line on standard error, then abort. Neither
//! allocates, formats nor unwinds.

use core::ffi::CStr;
use rustix::fd::BorrowedFd;

/// The program gave back what was not its to give.
#[cold]
#[inline(never)]
pub fn invalid_free(what: &'static CStr) -> ! {
    stop(what)
}

/// The allocator broke a promise to itself.
#[cold]
#[inline(never)]
pub fn unreachable_state(what: &'static CStr) -> ! {
    stop(what)
}

/// Says on standard error that something asked for was not done. Errno stays as it was.
#[cold]
pub fn warn(what: &'static CStr) {
    for part in [c"brkmap: ", what, c"\n"] {
        // SAFETY: standard error, which is nobody's to own. Where it is closed the write fails, and there is
        // nobody to tell.
        let _ = rustix::io::write(unsafe { BorrowedFd::borrow_raw(2) }, part.to_bytes());
    }
}

fn stop(what: &'static CStr) -> ! {
    warn(what);
    // SAFETY: no preconditions; does not return.
    unsafe { libc::abort() }
}
