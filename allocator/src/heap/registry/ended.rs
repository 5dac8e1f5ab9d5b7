//! Heaps of threads that ended and did not leave them: libc called no exit hook any more, because they had
//! claimed them in the last round of destructors, or because it had no key for one.
//!
//! ```text
//!   claim ─► one of this thread's token? ─► a parked one? ─► one whose thread is no more? ─► a new one
//! ```

use super::{Registry, id_of};
use crate::os::Os;
use core::sync::atomic::Ordering;

/// Heaps of which each is asked for its thread before one more is made.
const FEW: usize = 64;

impl Registry {
    /// The heap of a thread that had the token of the calling one.
    pub(super) fn left_behind(&self, me: usize, seats: usize) -> Option<usize> {
        let (seat, taken) = self.tables.find(me, seats)?;
        // The calling thread itself is in the middle of changing it, below a signal handler.
        let in_use = !self.tables.blank.is(seat) && self.heap(id_of(seat)).is_busy();
        (!in_use && self.tables.take_over(seat, taken, me)).then_some(seat)
    }

    /// The heap of any ended thread, before one more is made. Of few heaps each is asked for. Of many, where
    /// none was found, they are asked for again when a sixteenth was added: in all that is some calls a heap.
    pub(super) fn of_ended<O: Os>(&self, os: &O, me: usize, seats: usize) -> Option<usize> {
        // Relaxed: it only says how soon.
        if seats > FEW && seats < self.asks_at.load(Ordering::Relaxed) as usize {
            return None;
        }
        let found = (0..seats).find(|&seat| self.take_of_ended(os, me, seat));
        if found.is_none() {
            self.asks_at.store((seats + seats / 16 + 1) as u32, Ordering::Relaxed);
        }
        found
    }

    fn take_of_ended<O: Os>(&self, os: &O, me: usize, seat: usize) -> bool {
        let Some(taken) = self.tables.settled(seat) else { return false };
        // One that is settled in has pages.
        let heap = self.heap(id_of(seat));
        if !heap.has_lost_thread(os) || !self.tables.take_over(seat, taken, me) {
            return false;
        }
        if heap.forget_only_frees() {
            self.let_another_free(taken.token());
        }
        true
    }
}
