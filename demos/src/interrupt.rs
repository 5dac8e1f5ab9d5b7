//! Ctrl-C without a handler: SIGINT and SIGTERM are blocked and asked for, so they cannot arrive
//! between a check and the sleep after it.

use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::time::TimeSpec;

use brkmap_base::error::Error;

/// Longer ones do not fit into every kernel's seconds.
const LONGEST: Duration = Duration::from_secs(i32::MAX as u64);

/// While it lives, SIGINT and SIGTERM are reported instead of ending the process.
#[derive(Debug)]
pub struct Watch {
    signals: SigSet,
    before: SigSet,
}

impl Watch {
    pub fn start() -> Result<Watch, Error> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&signals), Some(&mut before))
            .map_err(|errno| Error::failed(format!("could not block SIGINT: {errno}")))?;
        Ok(Watch { signals, before })
    }

    /// Sleeps, or ends with `Interrupted` as soon as one of the signals comes.
    pub fn pause(&self, time: Duration) -> Result<(), Error> {
        let limit = TimeSpec::from_duration(time.min(LONGEST));
        // SAFETY: both pointers are to live locals; a null siginfo is allowed.
        let signal =
            unsafe { libc::sigtimedwait(self.signals.as_ref(), std::ptr::null_mut(), limit.as_ref()) };
        // -1 is EAGAIN, the time is over, or EINTR by an unrelated signal: an early end of a nap.
        if signal > 0 { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// For loops that do not sleep.
    pub fn check(&self) -> Result<(), Error> {
        self.pause(Duration::ZERO)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }
}
