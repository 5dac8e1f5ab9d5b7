//! Starting a program, or a piece of this one, that is traced from its first instruction.
//!
//! ```text
//!   we                         child
//!   fork ────────────────────▶ wait at the gate
//!   PTRACE_SEIZE
//!   close the gate ──────────▶ install the filter, exec ─▶ the program
//!   wait for stops             (failed: say at what and why, exit)
//! ```

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::ptr;

use brkmap_base::error::{Error, Result};
use libc::{c_char, c_int, pid_t};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{ForkResult, fork, pipe2};

use crate::ptrace::{self, Last};
use crate::seccomp::Filter;

/// A program to run, with its arguments, its environment, where its input comes from and its output goes if not as
/// ours, a file that it finds open at a number, if there can be one of that number, and whether the last moment of its
/// threads is told.
pub struct Program {
    pub argv: Vec<OsString>,
    pub environment: Vec<(OsString, OsString)>,
    pub stdin: Option<File>,
    pub stdout: Option<File>,
    pub stderr: Option<File>,
    pub passed: Option<(File, RawFd)>,
    pub last: Last,
}

/// A piece of this program, to run in a child; the answer is the child's exit code.
pub type Piece<'a> = Box<dyn FnOnce() -> c_int + 'a>;

/// A child that is traced and on its way to its program.
pub(crate) struct Child {
    pub(crate) pid: pid_t,
    report: OwnedFd,
}

/// What the child was at when it failed; travels through the pipe as a byte.
#[derive(Clone, Copy)]
#[repr(u8)]
enum At {
    Filter = 1,
    Exec = 2,
    Output = 3,
}

/// The child's end of the gate and of the report, and the parent's end of the gate.
struct Ends {
    gate: OwnedFd,
    opener: OwnedFd,
    reporter: OwnedFd,
}

impl Program {
    pub fn new(argv: Vec<OsString>) -> Program {
        Program {
            argv,
            environment: std::env::vars_os().collect(),
            stdin: None,
            stdout: None,
            stderr: None,
            passed: None,
            last: Last::Untold,
        }
    }

    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.remove(name);
        self.environment.push((name.into(), value.into()));
    }

    pub fn remove(&mut self, name: &str) {
        self.environment.retain(|(present, _)| present != name);
    }

    pub(crate) fn spawn(&self, filter: &Filter) -> Result<Child> {
        let argv = self.argv.iter().cloned().map(c_string).collect::<Result<Vec<_>>>()?;
        let environment = self
            .environment
            .iter()
            .map(|(name, value)| {
                let mut pair = name.clone();
                pair.push("=");
                pair.push(value);
                c_string(pair)
            })
            .collect::<Result<Vec<_>>>()?;
        let (argv, environment) = (pointers(&argv), pointers(&environment));
        let redirected = [
            (&self.stdin, libc::STDIN_FILENO),
            (&self.stdout, libc::STDOUT_FILENO),
            (&self.stderr, libc::STDERR_FILENO),
        ];
        let passed = self.passed.as_ref().map(|(file, place)| (file.as_raw_fd(), *place));
        // SAFETY: until exec the child makes only async-signal-safe calls (`signal`, `dup2`, `prctl`,
        // `execvpe`, `write`, `_exit`) on memory prepared above, so it may come from a process
        // with threads.
        unsafe { start(self.last, || exec(&redirected, passed, filter, &argv, &environment)) }
    }
}

/// Runs the piece in a child.
///
/// # Safety
/// If other threads run, the piece uses nothing they may hold a lock of.
pub(crate) unsafe fn piece(work: Piece<'_>, filter: &Filter) -> Result<Child> {
    // SAFETY: the caller's promise.
    unsafe {
        start(Last::Untold, || {
            if let Err(error) = filter.install() {
                return (At::Filter, error.raw_os_error().unwrap_or(0));
            }
            // The default hook has told of a panic.
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(1);
            libc::_exit(code)
        })
    }
}

/// Forks a child that does `work` once it is traced; that returns only when something failed.
///
/// # Safety
/// If other threads run, `work` makes async-signal-safe calls only.
unsafe fn start(last: Last, work: impl FnOnce() -> (At, c_int)) -> Result<Child> {
    let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(Error::during("cannot make a pipe"));
    let ((gate, opener), (report, reporter)) = (pipe()?, pipe()?);
    let ends = Ends { gate, opener, reporter };
    // SAFETY: the caller's promise; `wait_at_the_gate` makes async-signal-safe calls only.
    match unsafe { fork() }.map_err(Error::during("cannot fork"))? {
        ForkResult::Child => {
            wait_at_the_gate(&ends);
            let (at, errno) = work();
            fail(&ends.reporter, at, errno)
        }
        ForkResult::Parent { child } => {
            let pid = child.as_raw();
            if let Err(errno) = ptrace::seize(pid, last) {
                // The child has run nothing yet; it must not get past the gate.
                // SAFETY: `pid` is our child and not waited for, so the id is still its own.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                // SAFETY: a null status is allowed; this only reaps the child.
                unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
                return Err(ptrace_refused(errno));
            }
            Ok(Child { pid, report })
        }
    }
}

impl Child {
    /// Why the program never ran; to be asked when the child is gone without having started it.
    pub(crate) fn failure(self, program: &OsStr) -> Error {
        let name = program.to_string_lossy();
        let mut report = [0u8; 5];
        if File::from(self.report).read_exact(&mut report).is_err() {
            return Error::Failed(format!("`{name}` was killed before it started"));
        }
        let errno = Errno::from_raw(i32::from_ne_bytes([report[1], report[2], report[3], report[4]]));
        if report[0] == At::Filter as u8 {
            return Error::Failed(format!(
                "the kernel took no seccomp filter ({errno:?}, {}): tracing needs CONFIG_SECCOMP_FILTER",
                errno.desc()
            ));
        }
        if report[0] == At::Output as u8 {
            return Error::Failed(format!(
                "the input or output of `{name}` cannot be turned away: {}",
                errno.desc()
            ));
        }
        match errno {
            Errno::ENOENT if name.contains('/') => Error::Missing(format!("`{name}`: no such file")),
            Errno::ENOENT => Error::Missing(format!("`{name}`: no such command in PATH")),
            _ => Error::NotRunnable(format!("`{name}` cannot be run: {}", errno.desc())),
        }
    }
}

/// The gate opens by its other end being closed, so that a parent that dies opens it too, for a child that then
/// dies with it.
fn wait_at_the_gate(ends: &Ends) {
    let mut byte = 0u8;
    // SAFETY: the child's own copy of the descriptor; nothing uses it after this.
    unsafe { libc::close(ends.opener.as_raw_fd()) };
    // SAFETY: reads at most the one byte given.
    while unsafe { libc::read(ends.gate.as_raw_fd(), (&raw mut byte).cast(), 1) } < 0
        && Errno::last() == Errno::EINTR
    {}
}

/// Returns only when something failed.
fn exec(
    redirected: &[(&Option<File>, c_int)],
    passed: Option<(RawFd, RawFd)>,
    filter: &Filter,
    argv: &[*const c_char],
    environment: &[*const c_char],
) -> (At, c_int) {
    // This program may ignore SIGPIPE; the one to run expects to die of it.
    // SAFETY: SIG_DFL runs no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    for (file, place) in redirected {
        // SAFETY: dup2 takes numbers; what was at the place is the child's own copy.
        if file.as_ref().is_some_and(|file| unsafe { libc::dup2(file.as_raw_fd(), *place) } < 0) {
            return (At::Output, Errno::last_raw());
        }
    }
    if let Some((file, place)) = passed {
        // SAFETY: as above. Where it is refused the program goes without.
        unsafe { libc::dup2(file, place) };
    }
    if let Err(error) = filter.install() {
        return (At::Filter, error.raw_os_error().unwrap_or(0));
    }
    // SAFETY: both lists are null-terminated and point at C strings that the parent's frame owns,
    // of which this process has a copy.
    unsafe { libc::execvpe(argv[0], argv.as_ptr(), environment.as_ptr()) };
    (At::Exec, Errno::last_raw())
}

fn fail(reporter: &OwnedFd, at: At, errno: c_int) -> ! {
    let [a, b, c, d] = errno.to_ne_bytes();
    let report = [at as u8, a, b, c, d];
    // SAFETY: writes the five bytes of `report`; five bytes fit any pipe.
    unsafe { libc::write(reporter.as_raw_fd(), report.as_ptr().cast(), report.len()) };
    // SAFETY: ends the child without running the parent's exit handlers.
    unsafe { libc::_exit(127) }
}

fn ptrace_refused(errno: Errno) -> Error {
    Error::Failed(format!(
        "ptrace was refused ({errno:?}, {}), so no system call can be watched. Usual causes: a container \
         without the SYS_PTRACE capability or with a seccomp profile that forbids ptrace; \
         kernel.yama.ptrace_scope = 3; another tracer (strace, gdb, brkmap) already above this process.",
        errno.desc()
    ))
}

fn c_string(text: OsString) -> Result<CString> {
    CString::new(text.into_vec())
        .map_err(|_| Error::Usage("an argument or a variable of the environment holds a zero byte".into()))
}

fn pointers<T: AsRef<CStr>>(strings: &[T]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ref().as_ptr()).chain([ptr::null()]).collect()
}
