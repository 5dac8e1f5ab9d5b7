//! The door of a heap: its lock, and what a fork's child has to know of it. Those of all heaps stand
//! together, so that the child looks at a few pages: to find a page of each heap costs more than to look at
//! it.
#![forbid(unsafe_code)]

use crate::sync::holder::Holder;
use crate::sync::token::token;
use core::sync::atomic::{AtomicUsize, Ordering};

/// A line of its own: threads open and close it.
#[repr(align(64))]
pub struct Door {
    pub holder: Holder,
    /// The thread that makes a round through the heap's slabs, or 0, as the lock was last opened.
    round: AtomicUsize,
}

/// Relaxed everywhere: the fork orders it.
impl Door {
    pub const fn new() -> Door {
        Door { holder: Holder::none(), round: AtomicUsize::new(0) }
    }

    /// Whose round it is, of who is about to open the lock.
    #[inline]
    pub fn say_round(&self, by: usize) {
        self.round.store(by, Ordering::Relaxed);
    }

    /// In the child of a fork, of an open lock: whether a thread is not there that was making a round. This
    /// thread's own goes on, where a signal handler inside of it made the fork.
    pub fn has_lost_round(&self) -> bool {
        let by = self.round.load(Ordering::Relaxed);
        by != 0 && by != token()
    }
}
