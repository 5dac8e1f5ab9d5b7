//! The allocator in the child of a fork, which copied it whatever its threads were doing.
#![allow(unsafe_code)]

use super::Allocator;
use crate::base::allocated::Allocated;
use crate::heap::registry::Threads;
use crate::os::Os;

impl<O: Os> Allocator<O> {
    /// In the child of a fork: takes everything up for the threads that are there. What the thread `me`
    /// itself was changing is left alone: a signal handler that forked may have interrupted it, and it will
    /// go on.
    ///
    /// # Safety
    /// The other threads of the parent are gone, and no other thread of the child is inside a call of the
    /// allocator. `threads` is whether there is any: of several, the calling one does not know which
    /// heaps are theirs.
    pub unsafe fn repair_after_fork(&self, me: usize, threads: Threads) {
        // SAFETY: as the caller vouches. The arena first: the heaps ask it for their slabs.
        unsafe {
            self.arena.repair_after_fork();
            self.large.repair_after_fork(&self.arena);
            self.medium.repair_after_fork(&self.arena);
            self.registry.repair_after_fork(&self.arena, me, threads);
        }
    }

    /// Whether the calling thread, whose token is `me`, is in the middle of changing something.
    pub fn is_mine(&self, me: usize) -> bool {
        self.arena.is_mine() || self.large.is_mine() || self.medium.is_mine() || self.registry.is_mine(me)
    }

    /// A block for a request from below a signal handler that interrupted its own thread in the middle of a
    /// change: a mapping, which needs one lock. Where that is the one, no other is held, and a span serves.
    pub fn alloc_barred(&self, size: usize, align: usize) -> Option<Allocated> {
        if self.large.is_mine() {
            return self.alloc_span(size, align);
        }
        self.large.alloc(&self.arena, size, align).map(|(allocated, _)| allocated)
    }
}
