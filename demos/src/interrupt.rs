//! Ctrl-C without a handler: SIGINT and SIGTERM are blocked and asked for, so they cannot arrive
//! between a check and the sleep after it.

use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

use brkmap_base::error::Error;

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
        let limit = libc::timespec {
            tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: time.subsec_nanos().into(),
        };
        // SAFETY: both pointers are to live locals; a null siginfo is allowed.
        let signal =
            unsafe { libc::sigtimedwait(self.signals.as_ref(), std::ptr::null_mut(), &raw const limit) };
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
