//! A file's descriptor, by system calls of its own: std's can panic, and libc's functions are points where
//! a thread may be cancelled. Errno stays as it was; an error is its number.
#![allow(unsafe_code)]

use super::errno::keep_errno;
use core::ffi::{CStr, c_int, c_long};

pub struct Descriptor(c_long);

/// An error's number, as errno has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub c_int);

/// What a call returned: a count, or less than 0 and errno says why.
fn answer(call: impl Fn() -> c_long) -> Result<usize, Errno> {
    keep_errno(|| {
        loop {
            // SAFETY: the location is this thread's own errno.
            match (usize::try_from(call()), unsafe { *libc::__errno_location() }) {
                (Ok(count), _) => return Ok(count),
                (Err(_), libc::EINTR) => {}
                (Err(_), errno) => return Err(Errno(errno)),
            }
        }
    })
}

impl Descriptor {
    /// Of a file that is there, to be read (openat(2)).
    pub fn open(name: &CStr) -> Result<Descriptor, Errno> {
        const FLAGS: c_int = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
        Self::by(name, FLAGS)
    }

    /// Of a new file, or one that is written anew (openat(2)).
    pub fn create(name: &CStr) -> Result<Descriptor, Errno> {
        const FLAGS: c_int =
            libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC | libc::O_NOCTTY;
        Self::by(name, FLAGS)
    }

    fn by(name: &CStr, flags: c_int) -> Result<Descriptor, Errno> {
        const MODE: c_int = 0o644;
        // SAFETY: reads a path that ends with a NUL.
        let open = || unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, name.as_ptr(), flags, MODE) };
        answer(open).map(|descriptor| Descriptor(descriptor as c_long))
    }

    /// Bytes that were read, 0 at the end (read(2)).
    pub fn read(&self, into: &mut [u8]) -> Result<usize, Errno> {
        let (at, len) = (into.as_mut_ptr(), into.len());
        // SAFETY: writes into the room that there is.
        answer(|| unsafe { libc::syscall(libc::SYS_read, self.0, at, len) })
    }

    /// The same, from a place in the file (pread(2)).
    pub fn read_at(&self, place: usize, into: &mut [u8]) -> Result<usize, Errno> {
        let (at, len) = (into.as_mut_ptr(), into.len());
        // SAFETY: as above.
        answer(|| unsafe { libc::syscall(libc::SYS_pread64, self.0, at, len, place) })
    }

    /// Bytes that were written (write(2)).
    pub fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let (at, len) = (bytes.as_ptr(), bytes.len());
        // SAFETY: reads what there is.
        answer(|| unsafe { libc::syscall(libc::SYS_write, self.0, at, len) })
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: opened by this value, and closed once.
        keep_errno(|| unsafe { libc::syscall(libc::SYS_close, self.0) });
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_an_error_and_what_is_is_read() {
        assert_eq!(Descriptor::open(c"/proc/no such file").err(), Some(Errno(libc::ENOENT)));
        assert!(Descriptor::create(c"/proc/no such folder/x").is_err());
        let file = Descriptor::open(c"/proc/self/exe").expect("this program");
        let (mut head, mut next) = ([0; 4], [0; 4]);
        assert_eq!((file.read(&mut head), head), (Ok(4), *b"\x7fELF"));
        assert_eq!((file.read_at(1, &mut next), &next[..3]), (Ok(4), &b"ELF"[..]));
        assert_eq!(file.write(b"x"), Err(Errno(libc::EBADF)));
    }
}
