//! A forked child that runs one closure and ends; waited for, or killed, when dropped.

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use brkmap_base::error::{During, Error};
use brkmap_base::output;

/// Met only by a hang.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
#[must_use = "dropping a child kills it"]
pub struct Child {
    pid: Pid,
    done: bool,
}

impl Child {
    /// Forks. The child ends by `_exit` with 0, or with 1 if `work` failed: no destructor, no exit
    /// handler and no buffered output of the parent's runs twice.
    ///
    /// # Safety
    /// If other threads run, `work` uses nothing they may hold a lock of.
    pub unsafe fn start(work: impl FnOnce() -> Result<(), Error>) -> Result<Child, Error> {
        // SAFETY: the caller's promise.
        match unsafe { fork() }.during("fork")? {
            ForkResult::Parent { child } => Ok(Child { pid: child, done: false }),
            ForkResult::Child => {
                let code = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
                    Ok(Ok(())) => 0,
                    Ok(Err(error)) => {
                        output::complain(format_args!("error in the child: {error}"));
                        1
                    }
                    Err(_) => 1,
                };
                // SAFETY: ends this process, nothing else.
                unsafe { libc::_exit(code) }
            }
        }
    }

    pub fn wait(mut self) -> Result<WaitStatus, Error> {
        let end = pidfd(self.pid).during("watch the child")?;
        let limit = PollTimeout::try_from(PATIENCE).expect("less than a minute");
        let mut watched = [PollFd::new(end.as_fd(), PollFlags::POLLIN)];
        match poll(&mut watched, limit).during("wait for the child")? {
            0 => Err(Error::failed("the child hangs")),
            _ => {
                self.done = true;
                waitpid(self.pid, None).during("wait for the child")
            }
        }
    }

    /// Waits, and insists on exit code 0.
    pub fn join(self) -> Result<(), Error> {
        match self.wait()? {
            WaitStatus::Exited(_, 0) => Ok(()),
            status => Err(Error::failed(format!("the child {}", how(status)))),
        }
    }
}

/// How a child ended, as words that follow it.
pub fn how(status: WaitStatus) -> String {
    match status {
        WaitStatus::Exited(_, code) => format!("ended with exit code {code}"),
        WaitStatus::Signaled(_, signal, _) => format!("was killed by {signal}"),
        _ => "has not ended".to_owned(),
    }
}

/// A descriptor that is readable once the child has ended.
fn pidfd(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two numbers.
    let descriptor = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    // SAFETY: a descriptor that the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.done {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}
