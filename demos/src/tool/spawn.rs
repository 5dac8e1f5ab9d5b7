//! Starting a program that is traced from its first instruction.
//!
//! ```text
//!   we                         child
//!   fork ────────────────────▶ wait at the gate
//!   PTRACE_SEIZE
//!   close the gate ──────────▶ install the filter, exec ─▶ the program
//!   wait for stops             (failed: say at what and why, exit)
//! ```

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::ptr;

use libc::{c_char, c_int, pid_t};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{ForkResult, fork, pipe2};

use super::error::{Error, Result};
use super::ptrace;
use super::seccomp::Filter;

/// A program to run, with its arguments and its environment.
pub struct Program {
    pub argv: Vec<OsString>,
    pub environment: Vec<(OsString, OsString)>,
}

/// A child that is traced and on its way to its program.
pub struct Child {
    pub pid: pid_t,
    report: OwnedFd,
}

/// What the child was at when it failed; travels through the pipe as a byte.
#[derive(Clone, Copy)]
#[repr(u8)]
enum At {
    Filter = 1,
    Exec = 2,
}

impl Program {
    pub fn new(argv: Vec<OsString>) -> Program {
        Program { argv, environment: std::env::vars_os().collect() }
    }

    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.remove(name);
        self.environment.push((name.into(), value.into()));
    }

    pub fn remove(&mut self, name: &str) {
        self.environment.retain(|(present, _)| present != name);
    }

    pub fn spawn(&self, filter: &Filter) -> Result<Child> {
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
        let (gate, opener) = pipe2(OFlag::O_CLOEXEC).map_err(Error::during("cannot make a pipe"))?;
        let (report, reporter) = pipe2(OFlag::O_CLOEXEC).map_err(Error::during("cannot make a pipe"))?;
        // SAFETY: until exec the child makes only async-signal-safe calls (`close`, `read`, `prctl`,
        // `execvpe`, `write`, `_exit`) on memory prepared above, so it may come from a process
        // with threads.
        match unsafe { fork() }.map_err(Error::during("cannot fork"))? {
            ForkResult::Child => {
                let (at, errno) = run_child(&gate, &opener, filter, &argv, &environment);
                fail_child(&reporter, at, errno)
            }
            ForkResult::Parent { child } => {
                drop((gate, reporter));
                let pid = child.as_raw();
                if let Err(errno) = ptrace::seize(pid) {
                    // The child has run nothing yet; it must not get past the gate.
                    // SAFETY: `pid` is our child and not waited for, so the id is still its own.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                    // SAFETY: a null status is allowed; this only reaps the child.
                    unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
                    return Err(ptrace_refused(errno));
                }
                drop(opener);
                Ok(Child { pid, report })
            }
        }
    }
}

impl Child {
    /// Why the program never ran; to be asked when the child is gone without having started it.
    pub fn failure(self, program: &OsString) -> Error {
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
        match errno {
            Errno::ENOENT if name.contains('/') => Error::Missing(format!("`{name}`: no such file")),
            Errno::ENOENT => Error::Missing(format!("`{name}`: no such command in PATH")),
            _ => Error::NotRunnable(format!("`{name}` cannot be run: {}", errno.desc())),
        }
    }
}

/// Returns only when something failed. The gate opens by its other end being closed, so that a
/// parent that dies opens it too, for a child that then dies with it.
fn run_child(
    gate: &OwnedFd,
    opener: &OwnedFd,
    filter: &Filter,
    argv: &[*const c_char],
    environment: &[*const c_char],
) -> (At, c_int) {
    let mut byte = 0u8;
    // SAFETY: the child's own copy of the descriptor; nothing uses `opener` after it.
    unsafe { libc::close(opener.as_raw_fd()) };
    // SAFETY: reads at most the one byte given.
    while unsafe { libc::read(gate.as_raw_fd(), (&raw mut byte).cast(), 1) } < 0
        && Errno::last() == Errno::EINTR
    {}
    if let Err(error) = filter.install() {
        return (At::Filter, error.raw_os_error().unwrap_or(0));
    }
    // SAFETY: both lists are null-terminated and point at C strings that the parent's frame owns,
    // of which this process has a copy.
    unsafe { libc::execvpe(argv[0], argv.as_ptr(), environment.as_ptr()) };
    (At::Exec, Errno::last_raw())
}

fn fail_child(reporter: &OwnedFd, at: At, errno: c_int) -> ! {
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
