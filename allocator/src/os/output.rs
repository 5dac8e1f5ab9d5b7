//! Where reports go: descriptors, by system calls of their own. libc's `write` is a point where the thread may
//! be cancelled.
#![allow(unsafe_code)]

use crate::base::text::Text;
use core::ffi::CStr;
use rustix::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use rustix::fs::{Mode, OFlags};
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
/// the process. It is closed at exec.
///
/// # Errors
/// The kernel's; ENAMETOOLONG for a name of 1 KiB or more.
pub fn open(name: &[u8]) -> Result<RawFd, Errno> {
    let mut path = Text::<NAME>::new();
    let mut rest = name;
    while let Some((&byte, behind)) = rest.split_first() {
        if rest.starts_with(b"%p") {
            path.number(rustix::process::getpid().as_raw_nonzero().get() as usize, 0);
            rest = rest.get(2..).unwrap_or(&[]);
        } else {
            path.byte(byte);
            rest = behind;
        }
    }
    path.byte(0);
    let path = CStr::from_bytes_with_nul(path.bytes()).map_err(|_| Errno::NAMETOOLONG)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOCTTY;
    let low = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
    // Where there can be none as high it stays.
    let high = rustix::io::fcntl_dupfd_cloexec(&low, HIGH);
    Ok(high.unwrap_or(low).into_raw_fd())
}

/// Closes a descriptor that `open` gave.
pub fn close(to: RawFd) {
    // SAFETY: as the caller says, it is this module's.
    drop(unsafe { OwnedFd::from_raw_fd(to) });
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
        self.waiting.number(rustix::process::getpid().as_raw_nonzero().get() as usize, 0);
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
