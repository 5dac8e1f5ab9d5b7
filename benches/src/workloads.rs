//! The programs' work: each a fixed number of steps, the same ones whoever allocates and however the threads
//! are scheduled, and a checksum over what the blocks held.

mod aligned;
mod batches;
mod churn;
mod forks;
mod large;
mod live;
mod maps;
mod medium;
mod pairs;
mod pipeline;
mod refusals;
mod server;
mod sharing;
mod stress;
mod strings;
mod trees;
mod trims;
mod vectors;
mod zeroed;

/// How much to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Percent of a full run, which takes about half a second.
    pub scale: u64,
    pub threads: usize,
}

impl Plan {
    fn times(self, full: u64) -> u64 {
        (full * self.scale / 100).max(1)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    One,
    Many,
}

pub struct Workload {
    pub name: &'static str,
    pub threads: Threads,
    pub about: &'static str,
    pub run: fn(Plan) -> u64,
}

#[rustfmt::skip]
pub const ALL: [Workload; 22] = [
    Workload { name: "pairs", threads: Threads::One, about: "boxes of constant sizes, each replaced at once", run: pairs::run },
    Workload { name: "batches", threads: Threads::One, about: "16 B to 1 KiB in batches of 2000, freed LIFO, FIFO and at random", run: batches::run },
    Workload { name: "live", threads: Threads::One, about: "100 000 live blocks, skewed sizes, replaced at random", run: live::run },
    Workload { name: "strings", threads: Threads::One, about: "words made, joined, split, changed, sorted", run: strings::run },
    Workload { name: "maps", threads: Threads::One, about: "HashMap of text to lists, BTreeMap of boxes", run: maps::run },
    Workload { name: "trees", threads: Threads::One, about: "binary trees, built and dropped whole", run: trees::run },
    Workload { name: "vectors", threads: Threads::One, about: "realloc: many short vectors side by side, few long ones", run: vectors::run },
    Workload { name: "large", threads: Threads::One, about: "1 to 8 MiB, a byte of each page written", run: large::run },
    Workload { name: "zeroed", threads: Threads::One, about: "zeroed tables of 64 B to 1 MiB, sparsely used", run: zeroed::run },
    Workload { name: "aligned", threads: Threads::One, about: "aligned to 64, 256 and 4096 bytes", run: aligned::run },
    Workload { name: "medium", threads: Threads::One, about: "32 to 128 KiB, 16 live, the oldest replaced", run: medium::one },
    Workload { name: "medium-live", threads: Threads::One, about: "32 to 128 KiB, 1000 live, replaced at random", run: medium::live },
    Workload { name: "trims", threads: Threads::One, about: "32 MiB of small blocks, one in 128 stays, over and over", run: trims::run },
    Workload { name: "refusals", threads: Threads::One, about: "requests that no address space can hold", run: refusals::run },
    Workload { name: "forks", threads: Threads::One, about: "fork, exit, wait after 200 threads; the child allocates", run: forks::run },
    Workload { name: "medium-all", threads: Threads::Many, about: "32 to 128 KiB by every thread, 16 live each", run: medium::several },
    Workload { name: "medium-hand", threads: Threads::Many, about: "32 to 128 KiB: one thread allocates, another frees", run: medium::handed },
    Workload { name: "server", threads: Threads::Many, about: "Larson's server: sessions replaced, handed on from thread to thread", run: server::run },
    Workload { name: "pipeline", threads: Threads::Many, about: "producer/consumer: one thread allocates, another frees", run: pipeline::run },
    Workload { name: "stress", threads: Threads::Many, about: "small and large, kept and swapped between threads", run: stress::run },
    Workload { name: "churn", threads: Threads::Many, about: "short threads that leave an eighth of their blocks to the parent", run: churn::run },
    Workload { name: "sharing", threads: Threads::Many, about: "passive false sharing: neighbours given to several threads", run: sharing::run },
];

pub fn find(name: &str) -> Option<&'static Workload> {
    ALL.iter().find(|workload| workload.name == name)
}

/// A block of `size` bytes of which the first is written.
#[inline]
fn block(size: usize, tag: u8) -> Vec<u8> {
    let mut block = Vec::with_capacity(size);
    block.push(tag);
    block
}

/// Takes a value into a checksum, so that neither order nor number of the values is lost.
#[inline]
fn mix(sum: u64, value: u64) -> u64 {
    (sum.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Numbers of their own for each thread of each workload.
fn seed(workload: u64, thread: usize) -> u64 {
    workload << 32 | thread as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_does_the_same_each_time() {
        for workload in &ALL {
            let plan = Plan { scale: 1, threads: 2 };
            assert_eq!((workload.run)(plan), (workload.run)(plan), "{}", workload.name);
        }
    }

    #[test]
    fn more_work_gives_another_checksum() {
        let at = |workload: &Workload, scale| (workload.run)(Plan { scale, threads: 2 });
        for workload in &ALL {
            assert_ne!(at(workload, 1), at(workload, 5), "{}", workload.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = ALL.iter().map(|workload| workload.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
