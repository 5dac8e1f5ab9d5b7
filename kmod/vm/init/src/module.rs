// SPDX-License-Identifier: GPL-2.0
//! Loading and unloading the module, by the system calls that insmod and rmmod make.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::sys;

/// How often an unload succeeded: the kernel log must tell of as many. Shared by the checks' processes.
pub struct Unloads(*const AtomicU32);

impl Unloads {
    /// In memory that forked children share.
    pub fn new() -> Unloads {
        // SAFETY: a new anonymous mapping; zero is a valid AtomicU32.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                sys::PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(at, libc::MAP_FAILED);
        Unloads(at.cast_const().cast())
    }

    pub fn count(&self) -> u32 {
        // SAFETY: mapped by new, and never unmapped.
        unsafe { (*self.0).load(Relaxed) }
    }

    /// Unloads the module without waiting and without force.
    pub fn unload(&self) -> Result<(), String> {
        // SAFETY: the name is NUL-terminated.
        let done = unsafe { libc::syscall(libc::SYS_delete_module, c"mymap".as_ptr(), libc::O_NONBLOCK) };
        if done != 0 {
            return Err(sys::name(sys::errno()));
        }
        // SAFETY: as in count.
        unsafe { (*self.0).fetch_add(1, Relaxed) };
        Ok(())
    }
}

/// Loads /mymap.ko.
pub fn load() -> Result<(), String> {
    use std::os::fd::AsRawFd;
    let file = sys::open(c"/mymap.ko", libc::O_RDONLY).map_err(sys::name)?;
    // SAFETY: an open file and an empty parameter string.
    let done = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0) };
    if done == 0 { Ok(()) } else { Err(sys::name(sys::errno())) }
}
