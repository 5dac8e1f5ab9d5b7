//! The log of the memory calls: a line for each, in one write, to a file or a descriptor that was asked for.
//!
//! ```text
//!   brkmap PID/TID  call    bytes    address         outcome  reason  cause [bytes]
//!   brkmap 412/413  mmap    1048576  0x7f3a50000000  ok       grow    class 64
//!   brkmap 412/412  munmap  8192     0x7f3a60000000  ENOMEM   large   large
//! ```
//!
//! The keys are read before the first call of a process. A descriptor that is not the file any more that it
//! was, since the program closed it or opened another, is not written to.
#![allow(unsafe_code)]

use super::calls::Call;
use super::errno::keep_errno;
use super::numbers;
use super::output::borrowed;
use crate::base::text::Text;
use crate::base::why::Why;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

/// A memory call, but for what came of it.
#[derive(Clone, Copy)]
pub struct Made {
    pub call: Call,
    /// What it is about, or what it gave.
    pub at: *mut u8,
    /// The bytes of that.
    pub len: usize,
    /// Bytes that were gained, given back, or changed.
    pub by: usize,
    pub why: Why,
}

const OFF: i32 = -1;

/// The descriptor, if there is to be a log. Relaxed everywhere: what is known of it is written before it, by
/// the one thread that reads the environment.
static TO: AtomicI32 = AtomicI32::new(OFF);

/// The file that it was at first: its device and its number there.
static FILE: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// It may end at a reader that is gone, and then a write is answered by SIGPIPE.
static MAY_BREAK: AtomicBool = AtomicBool::new(false);

/// Writes a call to the log, if there is one.
#[inline]
pub fn write(made: &Made, refused: Option<Errno>) {
    let to = TO.load(Ordering::Relaxed);
    if to != OFF {
        send(to, made, refused);
    }
}

/// From here on there is a log, at a descriptor. False where that is none that is open.
pub fn begin(to: i32) -> bool {
    let Ok(status) = fstat(borrowed(to)) else { return false };
    let regular = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
    MAY_BREAK.store(!regular, Ordering::Relaxed);
    FILE[0].store(status.st_dev, Ordering::Relaxed);
    FILE[1].store(status.st_ino, Ordering::Relaxed);
    TO.store(to, Ordering::Relaxed);
    true
}

#[cold]
#[inline(never)]
fn send(to: i32, made: &Made, refused: Option<Errno>) {
    // Of the file that it was. A child that shares its parent's memory may have closed it: nothing is noted.
    let same = fstat(borrowed(to)).is_ok_and(|now| {
        let then = [0, 1].map(|at: usize| FILE[at].load(Ordering::Relaxed));
        then == [now.st_dev, now.st_ino]
    });
    if same {
        let line = line(made, refused, numbers::thread());
        let bytes = line.bytes();
        match MAY_BREAK.load(Ordering::Relaxed) {
            true => without_sigpipe(|| write_once(to, bytes)),
            false => _ = write_once(to, bytes),
        }
    }
}

/// A line that is not taken whole is lost: nobody waits for the log.
fn write_once(to: i32, line: &[u8]) -> Result<usize, Errno> {
    loop {
        match rustix::io::write(borrowed(to), line) {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

/// Where nobody reads any more the kernel sends the writing thread SIGPIPE: that one is taken back.
fn without_sigpipe(write: impl FnOnce() -> Result<usize, Errno>) {
    keep_errno(|| {
        // SAFETY: zeros are a set, which sigemptyset makes the empty one.
        let (mut pipe, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { core::mem::zeroed() };
        // SAFETY: sets of this function's, and the calling thread's own mask.
        unsafe {
            libc::sigemptyset(&mut pipe);
            libc::sigaddset(&mut pipe, libc::SIGPIPE);
            libc::pthread_sigmask(libc::SIG_BLOCK, &pipe, &mut before);
        }
        // SAFETY: as above.
        let blocked = unsafe { libc::sigismember(&before, libc::SIGPIPE) } == 1;
        if write() == Err(Errno::PIPE) && !blocked {
            let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: takes the signal that the write brought, if it waits.
            unsafe { libc::sigtimedwait(&pipe, null_mut(), &now) };
        }
        // SAFETY: as above.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, null_mut()) };
    });
}

fn line(made: &Made, refused: Option<Errno>, thread: u32) -> Text<192> {
    let mut out = Text::new();
    out.push("brkmap ");
    out.number(numbers::process() as usize, 0);
    out.push("/");
    out.number(thread as usize, 0);
    out.push(" ");
    out.push(made.call.name());
    out.push(" ");
    out.number(made.len, 0);
    out.push(" ");
    out.hexadecimal(made.at.addr());
    match refused {
        None => out.push(" ok "),
        Some(errno) => {
            out.push(" ");
            out.push(name_of(errno));
            out.push(" ");
        }
    }
    let (cause, bytes) = made.why.cause.parts();
    for word in [made.why.reason.name(), " ", cause] {
        out.push(word);
    }
    if let Some(bytes) = bytes {
        out.push(" ");
        out.number(bytes.0, 0);
    }
    out.push("\n");
    out
}

/// The kernel's refusals of memory calls by their names.
fn name_of(errno: Errno) -> &'static str {
    match errno {
        Errno::NOMEM => "ENOMEM",
        Errno::AGAIN => "EAGAIN",
        Errno::INVAL => "EINVAL",
        Errno::PERM => "EPERM",
        Errno::ACCESS => "EACCES",
        Errno::BUSY => "EBUSY",
        Errno::NOSYS => "ENOSYS",
        Errno::FAULT => "EFAULT",
        _ => "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::size_class;
    use crate::base::units::Granules;
    use crate::base::why::{Cause, Reason};

    #[test]
    fn a_line_says_what_came_of_a_call_and_why_it_was_made() {
        let text = |why, refused| {
            let at = core::ptr::without_provenance_mut(0x7f00_1000);
            let made = Made { call: Call::Mmap, at, len: 1 << 20, by: 0, why };
            String::from_utf8(line(&made, refused, 7).bytes().to_vec()).unwrap()
        };
        let head = format!("brkmap {}/7 mmap 1048576 0x7f001000 ", std::process::id());
        let class = Reason::Grow.by(Cause::Class(size_class::of(60)));
        assert_eq!(text(class, None), format!("{head}ok grow class 64\n"));
        let span = Reason::Span.by(Cause::Span(Granules(2)));
        assert_eq!(text(span, Some(Errno::NOMEM)), format!("{head}ENOMEM span span 131072\n"));
        let large = Reason::Large.by(Cause::Large);
        assert_eq!(text(large, Some(Errno::XDEV)), format!("{head}refused large large\n"));
    }
}
