// SPDX-License-Identifier: GPL-2.0
//! A second process: the checks need one to share with, and one that may die.

use std::io::Write;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Exited(i32),
    Killed(i32),
}

/// A child that has been started and not yet waited for.
#[must_use]
pub struct Child(libc::pid_t);

/// Starts a copy of this process that runs `work` and exits with what it returns.
pub fn start(work: impl FnOnce() -> i32) -> Child {
    std::io::stdout().flush().expect("the report line is open");
    // SAFETY: this program has one thread, so the child may do whatever the parent might.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            let status = work();
            let _ = std::io::stdout().flush();
            // SAFETY: ends this process only; its mappings and files go with it.
            unsafe { libc::_exit(status) }
        }
        pid => Child(pid),
    }
}

impl Child {
    pub fn wait(self) -> Ended {
        let mut status = 0;
        // SAFETY: a child of ours; EINTR cannot come, as no signal is handled.
        let waited = unsafe { libc::waitpid(self.0, &mut status, 0) };
        assert_eq!(waited, self.0, "waitpid");
        if libc::WIFSIGNALED(status) {
            Ended::Killed(libc::WTERMSIG(status))
        } else {
            Ended::Exited(libc::WEXITSTATUS(status))
        }
    }
}

pub fn run(work: impl FnOnce() -> i32) -> Ended {
    start(work).wait()
}

/// Whether `holds` is true in a process of its own.
pub fn holds(holds: impl FnOnce() -> bool) -> bool {
    run(|| i32::from(!holds())) == Ended::Exited(0)
}

/// One-way signals between processes, over a pipe.
pub struct Turn {
    read: i32,
    write: i32,
}

impl Turn {
    pub fn new() -> Turn {
        let mut ends = [0; 2];
        // SAFETY: two descriptors fit.
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0, "pipe");
        Turn { read: ends[0], write: ends[1] }
    }

    pub fn give(&self) {
        // SAFETY: one byte is readable.
        unsafe { libc::write(self.write, [1u8].as_ptr().cast(), 1) };
    }

    pub fn take(&self) {
        let mut byte = [0u8];
        // SAFETY: one byte is writable.
        unsafe { libc::read(self.read, byte.as_mut_ptr().cast(), 1) };
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // SAFETY: ours, and not used after this.
        unsafe {
            libc::close(self.read);
            libc::close(self.write);
        }
    }
}
