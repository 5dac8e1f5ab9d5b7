// SPDX-License-Identifier: GPL-2.0
//! The system calls the checks need, each with its errno as a value.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::uapi::{self, Info};

pub const PAGE: usize = 4096;

pub const REMAP: &CStr = c"/dev/mymap";
pub const FAULT: &CStr = c"/dev/mymap_fault";

pub type Errno = i32;

pub fn errno() -> Errno {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// `ENXIO` for 6, and so on: the ones the checks meet.
pub fn name(errno: Errno) -> String {
    let known = match errno {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::ENXIO => "ENXIO",
        libc::EAGAIN => "EAGAIN",
        libc::ENOMEM => "ENOMEM",
        libc::EACCES => "EACCES",
        libc::EFAULT => "EFAULT",
        libc::EEXIST => "EEXIST",
        libc::ENODEV => "ENODEV",
        libc::EINVAL => "EINVAL",
        libc::ENOTTY => "ENOTTY",
        libc::ENOSPC => "ENOSPC",
        libc::EOVERFLOW => "EOVERFLOW",
        _ => return format!("errno {errno}"),
    };
    known.to_string()
}

fn checked(result: i64) -> Result<usize, Errno> {
    if result < 0 { Err(errno()) } else { Ok(result as usize) }
}

pub fn open(path: &CStr, flags: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: path is NUL-terminated.
    let fd = checked(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) }.into())?;
    // SAFETY: just opened, and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Standard output and error to a serial line, without the terminal's newline translation.
pub fn report_to(path: &CStr) {
    // SAFETY: plain system calls on descriptors of this process; `settings` is filled before it is used.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_RDWR | libc::O_NOCTTY);
        if fd < 0 {
            return;
        }
        let mut settings: libc::termios = std::mem::zeroed();
        libc::tcgetattr(fd, &mut settings);
        libc::cfmakeraw(&mut settings);
        libc::tcsetattr(fd, libc::TCSANOW, &settings);
        for standard in 0..3 {
            libc::dup2(fd, standard);
        }
        if fd > 2 {
            libc::close(fd);
        }
    }
}

/// Ends the machine, once the serial line has sent everything.
pub fn restart() -> ! {
    // SAFETY: no memory is involved. QEMU runs with -no-reboot, so this is the end.
    unsafe {
        libc::tcdrain(1);
        libc::sync();
        libc::reboot(libc::RB_AUTOBOOT);
    }
    unreachable!("reboot returned")
}

/// A mapping; unmapped when dropped.
pub struct Map {
    pub at: *mut u8,
    pub len: usize,
}

impl Map {
    pub fn new(fd: &OwnedFd, len: usize, prot: i32, flags: i32, offset: usize) -> Result<Map, Errno> {
        // SAFETY: the kernel chooses the place, so nothing of ours is replaced.
        let at =
            unsafe { libc::mmap(ptr::null_mut(), len, prot, flags, fd.as_raw_fd(), offset as libc::off_t) };
        if at == libc::MAP_FAILED { Err(errno()) } else { Ok(Map { at: at.cast(), len }) }
    }

    /// Readable, writable, shared, the file's first `pages` pages.
    pub fn shared(fd: &OwnedFd, pages: usize) -> Result<Map, Errno> {
        Map::new(fd, pages * PAGE, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, 0)
    }

    /// Opens, maps and closes: only the mapping is left.
    pub fn of_device(path: &CStr, pages: usize) -> Result<Map, Errno> {
        Map::shared(&open(path, libc::O_RDWR)?, pages)
    }

    pub fn get(&self, offset: usize) -> u8 {
        // SAFETY: within what the kernel mapped, or the fault is the point (a child is killed by it).
        // Volatile: others write to it.
        unsafe { self.at.add(offset).read_volatile() }
    }

    pub fn set(&self, offset: usize, value: u8) {
        // SAFETY: as in get.
        unsafe { self.at.add(offset).write_volatile(value) }
    }

    pub fn first_bytes(&self, page: usize) -> Vec<u8> {
        (0..uapi::BYTES).map(|i| self.get(page * PAGE + i)).collect()
    }

    pub fn protect(&self, prot: i32) -> Result<(), Errno> {
        // SAFETY: our own mapping.
        checked(unsafe { libc::mprotect(self.at.cast(), self.len, prot) }.into()).map(drop)
    }

    pub fn advise(&self, advice: i32) -> Result<(), Errno> {
        // SAFETY: our own mapping, of shared memory whose contents the device keeps.
        checked(unsafe { libc::madvise(self.at.cast(), self.len, advice) }.into()).map(drop)
    }

    pub fn resize(&mut self, len: usize) -> Result<(), Errno> {
        // SAFETY: our own mapping; nobody keeps a pointer into it across this.
        let at = unsafe { libc::mremap(self.at.cast(), self.len, len, libc::MREMAP_MAYMOVE) };
        if at == libc::MAP_FAILED {
            return Err(errno());
        }
        (self.at, self.len) = (at.cast(), len);
        Ok(())
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and nobody uses it after this.
        unsafe { libc::munmap(self.at.cast(), self.len) };
    }
}

pub fn pread(fd: &OwnedFd, to: &mut [u8], offset: usize) -> Result<usize, Errno> {
    // SAFETY: `to` is writable for its length.
    checked(unsafe { libc::pread(fd.as_raw_fd(), to.as_mut_ptr().cast(), to.len(), offset as i64) } as i64)
}

pub fn pwrite(fd: &OwnedFd, from: &[u8], offset: usize) -> Result<usize, Errno> {
    // SAFETY: `from` is readable for its length.
    checked(unsafe { libc::pwrite(fd.as_raw_fd(), from.as_ptr().cast(), from.len(), offset as i64) } as i64)
}

/// read into, or write from, an address of which nothing is mapped.
pub fn transfer_nowhere(fd: &OwnedFd, write: bool) -> Result<usize, Errno> {
    let nowhere = ptr::without_provenance_mut(PAGE);
    // SAFETY: the kernel checks the address, which is what is being asked.
    checked(unsafe {
        if write {
            libc::pwrite(fd.as_raw_fd(), nowhere, 10, 0)
        } else {
            libc::pread(fd.as_raw_fd(), nowhere, 10, 0)
        }
    } as i64)
}

pub fn seek(fd: &OwnedFd, offset: i64, whence: i32) -> Result<usize, Errno> {
    // SAFETY: no memory is involved.
    checked(unsafe { libc::lseek(fd.as_raw_fd(), offset, whence) })
}

pub fn info(fd: &OwnedFd) -> Result<Info, Errno> {
    let mut info = Info::default();
    ioctl(fd, uapi::IOC_INFO, ptr::from_mut(&mut info).addr())?;
    Ok(info)
}

pub fn ioctl(fd: &OwnedFd, request: u32, argument: usize) -> Result<usize, Errno> {
    // SAFETY: the one known request writes an Info where `argument` says; every other writes nothing.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, argument) }.into())
}

pub fn info_of(path: &CStr) -> Result<Info, Errno> {
    info(&open(path, libc::O_RDWR)?)
}

/// Minor faults of this process so far.
pub fn minor_faults() -> i64 {
    // SAFETY: getrusage fills the whole structure.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage.ru_minflt
    }
}
