//! Whether somebody sleeps until memory is dirty.
//!
//! Who sleeps says so before it looks under the locks that guard what is dirty; who makes something dirty
//! looks here behind those locks. So one of the two sees the other.
#![forbid(unsafe_code)]

use crate::os::Os;
use core::sync::atomic::{AtomicU32, Ordering};

/// The word that the kernel wakes by (futex(2)).
pub struct Sleeper {
    word: AtomicU32,
}

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;

/// Relaxed everywhere: the locks between order it.
impl Sleeper {
    pub const fn none() -> Self {
        Sleeper { word: AtomicU32::new(AWAKE) }
    }

    pub fn word(&self) -> &AtomicU32 {
        &self.word
    }

    #[inline]
    pub fn is_asleep(&self) -> bool {
        self.word.load(Ordering::Relaxed) == ASLEEP
    }

    /// Says that the caller is about to sleep.
    pub fn lie_down(&self) {
        self.word.store(ASLEEP, Ordering::Relaxed);
    }

    /// Says that nobody sleeps. Whether somebody did.
    pub fn get_up(&self) -> bool {
        self.word.swap(AWAKE, Ordering::Relaxed) == ASLEEP
    }

    /// Sleeps as long as the word says so.
    pub fn sleep(&self, os: &impl Os) {
        while self.is_asleep() {
            os.wait(&self.word, ASLEEP, None);
        }
    }
}
