//! The memory calls that were made: how often, of how many bytes, how many of them were refused, by call and
//! reason.
#![forbid(unsafe_code)]

use crate::base::checked::Checked;
use crate::base::text::text_of;
use crate::base::why::{REASONS, Reason};
use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// A memory call of the kernel's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is the call of that name")]
pub enum Call {
    Brk,
    Mmap,
    Munmap,
    Mremap,
    Madvise,
    Mprotect,
    Msync,
}

impl Call {
    /// All of them, in order.
    pub const ALL: [Call; 7] =
        [Call::Brk, Call::Mmap, Call::Munmap, Call::Mremap, Call::Madvise, Call::Mprotect, Call::Msync];

    /// Its name in section 2 of the manual.
    pub const fn name(self) -> &'static str {
        text_of(self.c_name())
    }

    /// The same as a C string.
    pub const fn c_name(self) -> &'static CStr {
        match self {
            Call::Brk => c"brk",
            Call::Mmap => c"mmap",
            Call::Munmap => c"munmap",
            Call::Mremap => c"mremap",
            Call::Madvise => c"madvise",
            Call::Mprotect => c"mprotect",
            Call::Msync => c"msync",
        }
    }
}

/// How many memory calls there are.
pub const CALLS: usize = Call::ALL.len();

/// What was counted of one call for one reason, or for all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Calls, refused ones included.
    pub calls: usize,
    /// Bytes of those that were not refused: what was gained, given back, advised about. Of a mapping whose
    /// length changed, the difference. 0 where the break was only asked for.
    pub bytes: usize,
    /// Calls that the kernel refused.
    pub refused: usize,
}

struct Counter {
    calls: AtomicUsize,
    bytes: AtomicUsize,
    refused: AtomicUsize,
}

impl Counter {
    const fn new() -> Counter {
        Counter { calls: AtomicUsize::new(0), bytes: AtomicUsize::new(0), refused: AtomicUsize::new(0) }
    }
}

/// Relaxed everywhere: sums that publish nothing. A fork's child has its parent's and goes on counting.
pub struct Calls(Checked<Checked<Counter, REASONS>, CALLS>);

impl Calls {
    pub const fn new() -> Calls {
        Calls(Checked([const { Checked([const { Counter::new() }; REASONS]) }; CALLS]))
    }

    /// Counts a call of `bytes`.
    pub fn note(&self, call: Call, reason: Reason, bytes: usize, outcome: Outcome) {
        let counter = &self.0[call as usize][reason as usize];
        counter.calls.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Outcome::Done => counter.bytes.fetch_add(bytes, Ordering::Relaxed),
            Outcome::Refused => counter.refused.fetch_add(1, Ordering::Relaxed),
        };
    }

    pub fn tally(&self, call: Call, reason: Reason) -> Tally {
        let counter = &self.0[call as usize][reason as usize];
        Tally {
            calls: counter.calls.load(Ordering::Relaxed),
            bytes: counter.bytes.load(Ordering::Relaxed),
            refused: counter.refused.load(Ordering::Relaxed),
        }
    }
}

/// What the kernel said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Done,
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_apart_and_refused_ones_bring_no_bytes() {
        let calls = Calls::new();
        calls.note(Call::Mmap, Reason::Large, 4096, Outcome::Done);
        calls.note(Call::Mmap, Reason::Large, 8192, Outcome::Refused);
        calls.note(Call::Munmap, Reason::Large, 4096, Outcome::Done);
        assert_eq!(calls.tally(Call::Mmap, Reason::Large), Tally { calls: 2, bytes: 4096, refused: 1 });
        assert_eq!(calls.tally(Call::Munmap, Reason::Large), Tally { calls: 1, bytes: 4096, refused: 0 });
        assert_eq!(calls.tally(Call::Mmap, Reason::Grow), Tally::default());
        for (at, call) in Call::ALL.into_iter().enumerate() {
            assert_eq!(call as usize, at);
        }
    }
}
