//! What lies unused, for somebody who gives it back by time.
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
            self.os.wake(sleeper.word());
        }
    }

    /// Whether any free run has pages.
    pub fn is_dirty(&self) -> bool {
        self.with_state(|state| state.dirty > 0).unwrap_or(false)
    }

    /// Gives back what lay unused since the last call, or all that is dirty if nothing was taken.
    pub fn purge_idle(&self) -> Bytes {
        self.look_at_swing();
        let idle = self.with_state(State::take_idle).unwrap_or(0);
        let went = self.purge_pages(idle, Cause::Idle);
        self.with_state(State::take_idle);
        went
    }
}
