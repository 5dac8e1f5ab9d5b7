//! The end of a program whose heap is broken: one line on standard error, then abort. Neither
//! allocates, formats nor unwinds.

use core::ffi::CStr;

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

/// Says on standard error that something asked for was not done.
#[cold]
pub fn warn(what: &'static CStr) {
    for part in [c"brkmap: ", what, c"\n"] {
        // SAFETY: the bytes are a static string's. Where the write fails there is nobody to tell.
        unsafe { libc::write(2, part.as_ptr().cast(), part.count_bytes()) };
    }
}

fn stop(what: &'static CStr) -> ! {
    warn(what);
    // SAFETY: no preconditions; does not return.
    unsafe { libc::abort() }
}
