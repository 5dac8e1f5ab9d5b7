//! A word in shared memory that says whose turn it is: one side waits for a number, the other
//! passes it on. It sleeps in the kernel (futex), not by the clock.
//!
//! PASS: `pass` store (Release) → `wait_for` load (Acquire): whatever was written to shared memory
//! before the pass is seen after the wait.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::futex::{Flags, Timespec, wait, wake};

use crate::trouble::Trouble;

/// Far longer than any turn; met only when the other side has died.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
pub struct Baton<'a>(&'a AtomicU32);

impl<'a> Baton<'a> {
    /// `word` lies in memory that both sides map MAP_SHARED, hence no FUTEX_PRIVATE below.
    pub fn on(word: &'a AtomicU32) -> Baton<'a> {
        Baton(word)
    }

    pub fn pass(self, turn: u32) {
        // PASS
        self.0.store(turn, Release);
        let _ = wake(self.0, Flags::empty(), u32::MAX);
    }

    /// Returns when the word is `turn`.
    pub fn wait_for(self, turn: u32) -> Result<(), Trouble> {
        self.wait_until(|now| now == turn).map(|_| ())
    }

    /// Returns the word as soon as it satisfies `wanted`.
    pub fn wait_until(self, wanted: impl Fn(u32) -> bool) -> Result<u32, Trouble> {
        let start = Instant::now();
        loop {
            // PASS
            let now = self.0.load(Acquire);
            if wanted(now) {
                return Ok(now);
            }
            let Some(left) = PATIENCE.checked_sub(start.elapsed()) else {
                return Err(Trouble::system(format!("the other process left its turn at {now}")));
            };
            let limit = Timespec::try_from(left).expect("less than a minute");
            match wait(self.0, Flags::empty(), now, Some(&limit)) {
                // AGAIN: the word changed before we slept.
                Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => {}
                Err(errno) => return Err(Trouble::system(format!("futex refused to wait: {errno}"))),
            }
        }
    }
}
