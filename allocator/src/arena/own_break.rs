//! The process's break, as far as it is the arena's to move.
//!
//! ```text
//!   … │ heap: ours │ others' sbrk │ ours │→ break        all of ours below `end`
//! ```
//!
//! It is ours to move while nobody else moves it unseen: in the process's own malloc, whose `sbrk` everybody
//! else has to use; beside another malloc while the process has one thread, and until that malloc moved it.
//! From then on the arena grows by regions, and what it had here stays until it can be trimmed.
#![allow(unsafe_code)]

use crate::base::config::{GRANULE, HUGE_PAGE};
use crate::base::units::round_up;
use crate::base::why::Why;
use crate::os::{BreakOwner, Os};
use core::ops::Range;

pub struct OwnBreak {
    owner: BreakOwner,
    /// Where the break was left: by the arena, or by an sbrk that was served here. 0 before it was moved.
    left: usize,
    /// What the arena gained by it, holes included: addresses of granules.
    start: usize,
    end: usize,
    /// Somebody moved it unseen.
    barred: bool,
}

impl OwnBreak {
    pub fn new(owner: BreakOwner) -> Self {
        OwnBreak { owner, left: 0, start: 0, end: 0, barred: owner == BreakOwner::Foreign }
    }

    /// Whether the arena may move the break, as far as it knows.
    pub fn is_ours(&self) -> bool {
        !self.barred
    }

    /// The addresses that the arena gained by it, with holes where others moved it in between.
    pub fn addrs(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Gains `len` bytes or more: whole granules. None where the break cannot be moved so far, or not by us.
    pub fn grow<O: Os>(&mut self, os: &O, len: usize, why: Why) -> Option<Range<usize>> {
        let brk = self.look(os)?;
        let from = brk.checked_next_multiple_of(GRANULE)?;
        let mut to = from.checked_add(len)?;
        if len >= HUGE_PAGE {
            to = round_up(to, HUGE_PAGE)?;
        }
        os.grow_break(to - brk, why)?;
        self.left = to;
        if self.start == self.end {
            self.start = from;
        }
        self.end = to;
        Some(from..to)
    }

    /// Lowers the break to `from`, where the arena's last gain ends with it; what lies below is the arena's
    /// up to `end`.
    ///
    /// # Safety
    /// The bytes from `from` to the break are the arena's, and nothing uses them any more.
    pub unsafe fn shrink<O: Os>(&mut self, os: &O, from: usize, end: usize, why: Why) -> bool {
        let done = self.look(os) == Some(self.end)
            // SAFETY: as the caller vouches; the break ends with the arena's last byte.
            && unsafe { os.shrink_break(self.end - from, why) };
        if done {
            (self.left, self.end) = (from, end.max(self.start));
        }
        done
    }

    /// Lets somebody else move the break by `f`, which says whether it did, seen by us.
    pub fn lend<O: Os, R>(&mut self, os: &O, f: impl FnOnce(&mut Self) -> R) -> R {
        // Where it was moved unseen before, it stays barred.
        let seen = self.look(os).is_some();
        let result = f(self);
        if seen {
            self.left = os.current_break();
        }
        result
    }

    /// In the child of a fork that caught another thread at work on the arena: the break is where the
    /// kernel has it.
    ///
    /// # Safety
    /// The calling thread is the process's only one.
    pub unsafe fn reread<O: Os>(&mut self, os: &O) {
        if !self.barred && self.left != 0 {
            // SAFETY: the only thread of the process, as the caller vouches.
            unsafe { os.reread_break() };
            self.left = os.current_break();
        }
    }

    /// Where the break is, if it is ours to move; it is not from now on where somebody moved it unseen.
    fn look<O: Os>(&mut self, os: &O) -> Option<usize> {
        if self.barred || self.owner == BreakOwner::Shared && !os.single_threaded() {
            return None;
        }
        let brk = os.current_break();
        if brk == 0 {
            return None;
        }
        if self.left == 0 {
            self.left = brk;
        }
        self.barred = brk != self.left;
        (!self.barred).then_some(brk)
    }
}
