//! Statistics of the process's allocator.
#![forbid(unsafe_code)]

pub use crate::allocator::residency::Residency;
pub use crate::allocator::stats::{ClassStats, Classes, HeapStats, Stats};
pub use crate::base::why::Reason;
pub use crate::os::calls::{Call, Tally};
use crate::process::ALLOCATOR;

impl Stats {
    /// Reads the figures: a glance that allocates nothing, gives nothing back, and takes no heap's lock.
    /// Heaps of one's own ([Heap](crate::Heap)) are not in them.
    ///
    /// ```
    /// #[global_allocator]
    /// static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();
    ///
    /// fn main() {
    ///     let table = vec![1u8; 10 << 20];
    ///     let stats = brkmap::Stats::read();
    ///     println!("{} KiB live, {} KiB free with pages", stats.allocated >> 10, stats.dirty >> 10);
    ///     assert!(stats.large_bytes >= table.len());
    /// }
    /// ```
    pub fn read() -> Stats {
        ALLOCATOR.stats()
    }

    /// Each size class that has slabs or chunks, from the smallest on. Each heap's lock is taken for a
    /// moment, and those of the chunks and the outboxes.
    pub fn classes() -> Classes {
        ALLOCATOR.classes()
    }

    /// Each thread's heap that has anything. No lock is taken.
    pub fn heaps() -> impl Iterator<Item = HeapStats> {
        ALLOCATOR.heaps()
    }
}

impl Residency {
    /// Asks the kernel for each page of the allocator's, and for the sum over all of the process. It
    /// allocates nothing; it takes some milliseconds for each gibibyte. None where /proc is not mounted.
    pub fn read() -> Option<Residency> {
        ALLOCATOR.residency()
    }
}
