//! What the background thread asks of the system: to be made, and to be told where memory is short.
//!
//! It is a thread of libc's. One that the kernel alone knows of would keep its rights where the program gives
//! up its own (setuid(2) goes through libc's threads), and would share its maker's errno.
#![allow(unsafe_code)]

use super::environment::read_file;
use super::errno::keep_errno;
use crate::base::text::Text;
use core::ffi::{CStr, c_int, c_long, c_short, c_void};
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};

/// Bytes of the thread's stack, with the thread-local storage that libc puts there.
const STACK: usize = 128 << 10;

/// What the thread does.
pub type Run = extern "C" fn(*mut c_void) -> *mut c_void;

/// Makes a detached thread, which has all signals blocked. False where there can be none. May allocate.
pub fn start(run: Run) -> bool {
    let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: each call writes the set that it is given. A new thread has its maker's signals blocked.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    // libc wants a longer stack where the program's thread-local storage is long: its default serves then.
    let made = keep_errno(|| create(run, Some(STACK)) || create(run, None));
    // SAFETY: written above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), null_mut()) };
    made
}

fn create(run: Run, stack: Option<usize>) -> bool {
    let (mut attributes, mut thread) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: initialised by the first call, and destroyed by the last; the function is one for the life of
    // the process, where a library that may be unloaded has no such thread.
    unsafe {
        libc::pthread_attr_init(attributes.as_mut_ptr());
        libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED);
        if let Some(stack) = stack {
            libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack);
        }
        let error = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), run, null_mut());
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        error == 0
    }
}

/// Names the calling thread, for those who look at the process's threads.
pub fn name_thread(name: &'static CStr) {
    // SAFETY: the kernel copies the string.
    keep_errno(|| unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) });
}

/// A file that the kernel changes where memory is short. Its descriptor is one of the calling thread's alone:
/// what the program closes or opens is not it.
pub struct Events {
    file: c_long,
}

/// Why a wait has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// Memory is short.
    Short,
    Elapsed,
}

impl Events {
    /// Opens the file of a path, or without one memory.events of the process's cgroup. The calling thread has
    /// no descriptor of the program's from here on. None where there is no such file, or where a thread can
    /// have no descriptors of its own (close_range(2), Linux 5.9).
    pub fn open(path: &[u8]) -> Option<Events> {
        const CLOSE_RANGE_UNSHARE: c_int = 1 << 1;
        // SAFETY: a thread that leaves the program's descriptors, all of them in one step.
        let left = unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, CLOSE_RANGE_UNSHARE) };
        if left != 0 {
            return None;
        }
        let events = if path.is_empty() { open_of_cgroup() } else { open_at(&[path]) }?;
        events.look();
        Some(events)
    }

    /// Waits until memory is short, but no longer than so many milliseconds.
    pub fn wait(&self, millis: u32) -> Waited {
        let mut poll = libc::pollfd { fd: self.file as c_int, events: libc::POLLPRI, revents: 0 };
        let timeout =
            libc::timespec { tv_sec: (millis / 1000).into(), tv_nsec: (millis % 1000 * 1_000_000).into() };
        // SAFETY: one entry, which is written to; no signals are changed.
        let ready = unsafe { libc::syscall(libc::SYS_ppoll, &mut poll, 1, &timeout, null::<c_void>(), 0) };
        let is_short = ready > 0 && poll.revents & (libc::POLLPRI | libc::POLLERR) as c_short != 0;
        if is_short {
            self.look();
        }
        if is_short { Waited::Short } else { Waited::Elapsed }
    }

    /// Has the kernel tell of what changes from here on.
    fn look(&self) {
        let mut bytes = [0u8; 64];
        // SAFETY: writes into the bytes that there are.
        unsafe { libc::syscall(libc::SYS_pread64, self.file, bytes.as_mut_ptr(), bytes.len(), 0) };
    }
}

fn open_of_cgroup() -> Option<Events> {
    let mut bytes = [0; 1024];
    let read = read_file(c"/proc/self/cgroup", &mut bytes).unwrap_or(0);
    let mut lines = bytes.get(..read).unwrap_or_default().split(|&byte| byte == b'\n');
    // The second version's line has no number and no controllers (cgroups(7)).
    let path = lines.find_map(|line| line.strip_prefix(b"0::")).unwrap_or_default();
    let (root, file) = (&b"/sys/fs/cgroup"[..], &b"/memory.events"[..]);
    // Of a container that sees its own part only, the path is not there.
    open_at(&[root, path, file]).or_else(|| open_at(&[root, file]))
}

/// Opens the file of a path that is put together.
fn open_at(parts: &[&[u8]]) -> Option<Events> {
    let mut path = Text::<1100>::new();
    path.push_bytes(parts.iter().copied().flatten().copied().chain([0]));
    let path = CStr::from_bytes_with_nul(path.bytes()).ok()?;
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
    // SAFETY: reads a path that ends with a NUL.
    let file = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0) };
    (file >= 0).then_some(Events { file })
}
