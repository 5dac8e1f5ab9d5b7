//! A forked child that runs one closure and ends; waited for, or killed, when dropped.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use crate::trouble::{During, Trouble};

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
    pub unsafe fn start(work: impl FnOnce() -> Result<(), Trouble>) -> Result<Child, Trouble> {
        // SAFETY: the caller's promise.
        match unsafe { fork() }.during("fork")? {
            ForkResult::Parent { child } => Ok(Child { pid: child, done: false }),
            ForkResult::Child => {
                let code = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
                    Ok(Ok(())) => 0,
                    Ok(Err(trouble)) => {
                        anstream::eprintln!("error in the child: {trouble}");
                        1
                    }
                    Err(_) => 1,
                };
                // SAFETY: ends this process, nothing else.
                unsafe { libc::_exit(code) }
            }
        }
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Somebody else's waitpid has seen its end: its number may be another's by now.
    pub fn reaped(mut self) {
        self.done = true;
    }

    pub fn wait(mut self) -> Result<WaitStatus, Trouble> {
        let pid = rustix::process::Pid::from_raw(self.pid.as_raw()).expect("fork gave it");
        let ended = pidfd_open(pid, PidfdFlags::empty()).during("watch the child")?;
        let limit = Timespec::try_from(PATIENCE).expect("less than a minute");
        match poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&limit)).during("wait for the child")? {
            0 => Err(Trouble::system("the child hangs")),
            _ => {
                self.done = true;
                waitpid(self.pid, None).during("wait for the child")
            }
        }
    }

    /// Waits, and insists on exit code 0.
    pub fn join(self) -> Result<(), Trouble> {
        match self.wait()? {
            WaitStatus::Exited(_, 0) => Ok(()),
            status => Err(Trouble::system(format!("the child ended by {status:?}"))),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.done {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}
