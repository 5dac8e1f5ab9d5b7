//! Counts per system call, as `strace -c` keeps them, with bytes.

use std::collections::{BTreeMap, BTreeSet};

use brkmap_base::Bytes;
use brkmap_tracer::{Call, Syscall};
use serde::Serialize;

/// What one system call added up to.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Count {
    pub calls: u64,
    pub errors: u64,
    /// Asked for, moved, advised on or given back by the calls that succeeded.
    pub bytes: Bytes,
    /// Of these, addresses that were mapped without memory (PROT_NONE).
    pub reserved: Bytes,
    /// `brk` alone: asked to move the break and answered with the old one. Not an error to strace.
    pub refused: u64,
}

impl Count {
    fn add(&mut self, call: &Call) {
        self.calls += 1;
        self.errors += u64::from(call.failed());
        self.refused += u64::from(call.refused());
        self.bytes.0 = self.bytes.0.saturating_add(call.bytes());
        if call.reserves() {
            self.reserved.0 = self.reserved.0.saturating_add(call.bytes());
        }
    }
}

/// All memory calls of a run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    counts: [Count; Syscall::MEMORY.len()],
    reasons: BTreeMap<String, Count>,
    threads: BTreeSet<i32>,
}

impl Summary {
    pub fn add(&mut self, call: &Call) {
        let Some(place) = Syscall::MEMORY.iter().position(|memory| *memory == call.syscall) else { return };
        self.counts[place].add(call);
        self.threads.insert(call.tid);
    }

    /// The same of a call whose reason is known.
    pub fn add_for(&mut self, call: &Call, reason: &str) {
        self.add(call);
        self.reasons.entry(reason.to_owned()).or_default().add(call);
    }

    /// What the calls of brkmap's were for.
    pub fn reasons(&self) -> impl Iterator<Item = (&str, Count)> + '_ {
        self.reasons.iter().map(|(reason, count)| (reason.as_str(), *count))
    }

    /// The calls that were made at all, in the order of `Syscall::MEMORY`.
    pub fn rows(&self) -> impl Iterator<Item = (Syscall, Count)> + '_ {
        Syscall::MEMORY.into_iter().zip(self.counts).filter(|(_, count)| count.calls > 0)
    }

    pub fn total(&self) -> Count {
        let mut total = Count::default();
        for count in &self.counts {
            total.calls += count.calls;
            total.errors += count.errors;
            total.refused += count.refused;
            total.bytes.0 = total.bytes.0.saturating_add(count.bytes.0);
            total.reserved.0 = total.reserved.0.saturating_add(count.reserved.0);
        }
        total
    }

    /// Threads and processes that made a memory call.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brkmap_tracer::Outcome;

    fn call(tid: i32, syscall: Syscall, length: u64, outcome: Outcome) -> Call {
        Call { tid, syscall, args: [0x1000, length, 0, 0, 0, 0], outcome, break_before: Some(0x800) }
    }

    #[test]
    fn errors_are_calls_without_bytes() {
        let mut summary = Summary::default();
        summary.add(&call(1, Syscall::Mmap, 4096, Outcome::Returned(0x1000)));
        summary.add(&call(2, Syscall::Mmap, 4096, Outcome::Failed(libc::ENOMEM)));
        let (syscall, count) = summary.rows().next().unwrap();
        assert_eq!(syscall, Syscall::Mmap);
        assert_eq!((count.calls, count.errors, count.bytes), (2, 1, Bytes(4096)));
        assert_eq!(summary.rows().count(), 1);
        assert_eq!(summary.threads(), 2);
    }

    #[test]
    fn addresses_without_memory_are_told_from_memory() {
        let mut summary = Summary::default();
        let mut mapping = call(1, Syscall::Mmap, 4096, Outcome::Returned(0x1000));
        summary.add(&mapping);
        mapping.args[2] = libc::PROT_READ as u64;
        summary.add_for(&mapping, "large");
        let total = summary.total();
        assert_eq!((total.bytes, total.reserved), (Bytes(8192), Bytes(4096)));
        let (reason, count) = summary.reasons().next().unwrap();
        assert_eq!((reason, count.calls, count.bytes, count.reserved), ("large", 1, Bytes(4096), Bytes(0)));
    }

    #[test]
    fn the_break_counts_what_it_moved_and_what_it_refused() {
        let mut summary = Summary::default();
        summary.add(&call(1, Syscall::Brk, 0, Outcome::Returned(0x1000)));
        summary.add(&call(1, Syscall::Brk, 0, Outcome::Returned(0x800)));
        let (_, count) = summary.rows().next().unwrap();
        assert_eq!((count.calls, count.errors, count.refused, count.bytes), (2, 0, 1, Bytes(0x800)));
    }

    #[test]
    fn the_total_is_the_sum_of_the_rows() {
        let mut summary = Summary::default();
        summary.add(&call(1, Syscall::Mmap, 4096, Outcome::Returned(0x1000)));
        summary.add(&call(1, Syscall::Munmap, 8192, Outcome::Returned(0)));
        assert_eq!(summary.total().calls, 2);
        assert_eq!(summary.total().bytes, Bytes(12288));
    }
}
