//! What went and is taken again: what the arena tells the budget of it, with the time.
#![forbid(unsafe_code)]

use super::Arena;
use crate::base::keys::Key;
use crate::base::units::Bytes;
use crate::os::Os;

impl<O: Os> Arena<O> {
    /// So many bytes that were dirty have no pages behind them any more.
    pub fn note_gone(&self, bytes: Bytes) {
        if bytes.0 > 0 && self.settings.get(Key::Swing) > 0 {
            self.budget.note_gone(&self.settings, bytes.0, self.os.millis());
        }
    }

    /// So many bytes are taken that had no pages behind them.
    #[inline]
    pub fn note_taken(&self, bytes: Bytes) {
        if bytes.0 > 0 && self.budget.swing.is_watched() {
            self.budget.note_taken(&self.settings, bytes.0, self.os.millis());
        }
    }

    /// Notes that more is dirty than may be without a swing, if it is, after something became dirty.
    #[inline]
    pub fn note_held(&self) {
        self.budget.note_held_by_now(&self.settings);
    }

    /// Looks whether the swing goes on by which more is dirty than without. Where it does not, the budget is
    /// over from here on.
    #[cold]
    #[inline(never)]
    pub fn look_at_swing(&self) {
        self.budget.look_at_swing(&self.settings, self.os.millis());
    }
}
