//! Memory that another process may look at: a file of no folder, found by its name in /proc/PID/fd.
#![allow(unsafe_code)]

use super::errno::keep_errno;
use super::output;
use core::ffi::CStr;
use core::ptr::null_mut;
use rustix::mm::{MapFlags, ProtFlags, mmap};

/// Makes such a file (memfd_create(2)) of `len` bytes of zeros and maps it. It stays open, so that it is
/// found, and is closed at exec. None where the kernel refuses.
pub fn share(name: &CStr, len: usize) -> Option<*mut u8> {
    keep_errno(|| {
        // SAFETY: a string that ends with a NUL, and a flag.
        let low = unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), libc::MFD_CLOEXEC) };
        let low = libc::c_int::try_from(low).ok().filter(|&file| file >= 0)?;
        let file = output::raised(low);
        // SAFETY: of this function's.
        let long = unsafe { libc::ftruncate(file, len as libc::off_t) } == 0;
        let borrowed = output::borrowed(file);
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe { mmap(null_mut(), len, access, MapFlags::SHARED, borrowed, 0) };
        if !long || at.is_err() {
            output::close(file);
        }
        at.ok().filter(|_| long).map(|at| at.cast())
    })
}

/// Milliseconds since some moment (clock_gettime(2)), in steps of a few.
pub fn milliseconds() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the one struct.
    keep_errno(|| unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) });
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}
