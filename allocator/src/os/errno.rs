//! The calling thread's errno: most of what runs here leaves it as it was.
#![allow(unsafe_code)]

/// Runs a libc call and puts errno back to what it was.
pub fn keep_errno<T>(call: impl FnOnce() -> T) -> T {
    // SAFETY: the location is this thread's own errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: this thread's own.
    let before = unsafe { *errno };
    let result = call();
    // SAFETY: this thread's own.
    unsafe { *errno = before };
    result
}

/// Says why a call of the C front failed.
pub fn set_errno(errno: core::ffi::c_int) {
    // SAFETY: the location is this thread's own errno.
    unsafe { *libc::__errno_location() = errno };
}
