//! Statistics of the process's allocator.
#![forbid(unsafe_code)]

pub use crate::allocator::residency::Residency;
pub use crate::allocator::stats::{ClassStats, Classes, HeapStats, Stats};
pub use crate::base::why::Reason;
pub use crate::os::calls::{Call, Tally};
use crate::process::ALLOCATOR;

impl Stats {
    /// Reads the figures: a glance that allocates nothing, gives nothing back, and takes no heap's lock.
    pub fn read() -> Stats {
        ALLOCATOR.stats()
    }

    /// Each size class that has slabs, from the smallest on. Each heap's lock is taken for a moment.
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
