//! What lies unused, for somebody who gives it back by time and sleeps while there is nothing.
//!
//! ```text
//!   dirty   ──╮    ╭─╮   ╭──
//!             ╰─╮╭─╯ ╰───╯     the least of a period: nobody took that much, so it lies unused
//!   idle    ────╰╯────────────
//! ```
//!
//! The highest pages are the ones that nobody takes, since the arena hands out the lowest first.
#![forbid(unsafe_code)]

use super::Arena;
use super::state::State;
use crate::base::units::Bytes;
use crate::base::why::Cause;
use crate::os::Os;
use core::sync::atomic::{AtomicU32, Ordering};

/// Whether somebody sleeps until memory is dirty: a word that the kernel wakes by (futex(2)).
///
/// Who sleeps says so before it looks under the locks that guard what is dirty; who makes something dirty
/// looks here behind those locks. So one of the two sees the other.
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

impl State {
    /// The least that was dirty since the last call, in pages. From here on it is what is dirty now.
    fn take_idle(&mut self) -> u32 {
        core::mem::replace(&mut self.idle, self.dirty)
    }
}

impl<O: Os> Arena<O> {
    /// Wakes whoever sleeps until memory is dirty.
    pub fn wake_sleeper(&self) {
        let sleeper = &self.budget.sleeper;
        if sleeper.get_up() {
            self.os.wake(&sleeper.word);
        }
    }

    /// Whether any free run has pages.
    pub fn is_dirty(&self) -> bool {
        self.with_state(|state| state.dirty > 0).unwrap_or(false)
    }

    /// Gives back what lay unused since the last call, or all that is dirty if nothing was taken.
    pub fn purge_idle(&self) -> Bytes {
        let idle = self.with_state(State::take_idle).unwrap_or(0);
        let went = self.purge_pages(idle, Cause::Process);
        self.with_state(State::take_idle);
        went
    }
}
