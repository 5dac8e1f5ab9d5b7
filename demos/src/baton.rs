//! A word in shared memory that says whose turn it is: one side waits for a number, the other
//! passes it on. It sleeps in the kernel (futex), not by the clock.
//!
//! PASS: `pass` store (Release) → `wait_for` load (Acquire): whatever was written to shared memory
//! before the pass is seen after the wait.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::futex;
use brkmap_base::error::Error;

/// Far longer than any turn; met only when the other side has died.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
pub struct Baton<'a>(&'a AtomicU32);

impl<'a> Baton<'a> {
    /// `word` lies in memory that both sides map MAP_SHARED.
    pub fn on(word: &'a AtomicU32) -> Baton<'a> {
        Baton(word)
    }

    pub fn pass(self, turn: u32) {
        // PASS
        self.0.store(turn, Release);
        futex::wake(self.0, u32::MAX);
    }

    /// Returns when the word is `turn`.
    pub fn wait_for(self, turn: u32) -> Result<(), Error> {
        self.wait_until(|now| now == turn).map(|_| ())
    }

    /// Returns the word as soon as it satisfies `wanted`.
    pub fn wait_until(self, wanted: impl Fn(u32) -> bool) -> Result<u32, Error> {
        let start = Instant::now();
        loop {
            // PASS
            let now = self.0.load(Acquire);
            if wanted(now) {
                return Ok(now);
            }
            let Some(left) = PATIENCE.checked_sub(start.elapsed()) else {
                return Err(Error::failed(format!("the other process left its turn at {now}")));
            };
            match futex::wait(self.0, now, left) {
                // EAGAIN: the word changed before we slept.
                Ok(()) | Err(Errno::EAGAIN | Errno::EINTR | Errno::ETIMEDOUT) => {}
                Err(errno) => return Err(Error::failed(format!("futex refused to wait: {errno}"))),
            }
        }
    }
}
