//! Where reports go: descriptors, by system calls of their own. libc's `write` is a point where the thread
//! may be cancelled.
#![allow(unsafe_code)]

use super::errno::keep_errno;
use super::numbers;
use crate::base::text::Text;
use core::ffi::{CStr, c_int};
use rustix::fd::{BorrowedFd, RawFd};
use rustix::io::Errno;

/// Bytes of a file's name.
const NAME: usize = 1024;

/// A file of ours is among the descriptors above this, where no program that counts on low numbers looks.
const HIGH: RawFd = 256;

/// A descriptor, whose owner the caller of this module is.
pub fn borrowed(to: RawFd) -> BorrowedFd<'static> {
    // SAFETY: -1 is none that can be had; of others it is only said which one is meant.
    unsafe { BorrowedFd::borrow_raw(to.max(0)) }
}

/// Writes all of it. Where the descriptor takes no more there is nobody to tell.
pub fn write_all(to: RawFd, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(borrowed(to), rest) {
            Ok(written) if written > 0 => rest = rest.get(written..).unwrap_or(&[]),
            Err(Errno::INTR) => {}
            _ => return,
        }
    }
}

/// Opens a file to append to, made if it is not there, for its owner alone. `%p` in the name is the number of
/// the process. It is closed at exec. None where the kernel refuses, and for a name of 1 KiB or more.
pub fn open(name: &[u8]) -> Option<RawFd> {
    let mut path = Text::<NAME>::new();
    let mut rest = name;
    while let Some((&byte, behind)) = rest.split_first() {
        if rest.starts_with(b"%p") {
            path.number(numbers::process() as usize, 0);
            rest = rest.get(2..).unwrap_or(&[]);
        } else {
            path.push_bytes(core::iter::once(byte));
            rest = behind;
        }
    }
    path.push_bytes(core::iter::once(0));
    let path = CStr::from_bytes_with_nul(path.bytes()).ok()?;
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_NOCTTY;
    let low = open_as(path, flags)?;
    Some(raised(low))
}

/// Moves a descriptor of ours above those that programs count on, to be closed at exec. Where there can be
/// none as high it stays.
pub fn raised(low: RawFd) -> RawFd {
    // SAFETY: duplicates a descriptor of the caller's.
    let high = keep_errno(|| unsafe { libc::fcntl(low, libc::F_DUPFD_CLOEXEC, HIGH) });
    if high < 0 {
        return low;
    }
    close(low);
    high
}

/// Opens a file, closed at exec; one that is made is for its owner alone. By a system call of its own: libc's
/// `open` is a point where the thread may be cancelled, and rustix's descriptors bring std's panics along.
pub fn open_as(path: &CStr, flags: c_int) -> Option<RawFd> {
    const MODE: c_int = 0o600;
    let call = || {
        // SAFETY: a string that ends with a NUL, and numbers.
        unsafe {
            libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags | libc::O_CLOEXEC, MODE)
        }
    };
    RawFd::try_from(keep_errno(call)).ok().filter(|&file| file >= 0)
}

/// Closes a descriptor that was opened here.
pub fn close(file: RawFd) {
    // SAFETY: the caller's, which does not use it again.
    keep_errno(|| unsafe { libc::syscall(libc::SYS_close, file) });
}

/// Text on its way to a descriptor, some hundred bytes at once.
pub struct Writer {
    to: RawFd,
    waiting: Text<512>,
}

impl Writer {
    pub const fn to(to: RawFd) -> Writer {
        Writer { to, waiting: Text::new() }
    }

    /// Has `write` write a page, below a line that says whose it is.
    pub fn page(mut self, write: impl FnOnce(&mut Writer) -> core::fmt::Result) {
        self.waiting.push("brkmap: process ");
        self.waiting.number(numbers::process() as usize, 0);
        self.waiting.push("\n");
        // It takes whatever it gets.
        _ = write(&mut self);
        self.send();
    }

    fn send(&mut self) {
        write_all(self.to, self.waiting.bytes());
        self.waiting = Text::new();
    }
}

impl core::fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        if self.waiting.room() < text.len() {
            self.send();
        }
        if self.waiting.room() < text.len() {
            write_all(self.to, text.as_bytes());
        } else {
            self.waiting.push(text);
        }
        Ok(())
    }
}
