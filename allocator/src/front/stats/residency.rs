//! The resident memory of the process, explained.
#![forbid(unsafe_code)]

use crate::base::print;
use crate::os::usage::{group, usage};
use crate::process::ALLOCATOR;
use core::fmt::{Display, Formatter, Result, Write};

/// What the process's resident memory (RSS) consists of, in bytes: the first five make it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Residency {
    /// Blocks that are with the program, as far as it has touched them.
    pub live: usize,
    /// Free blocks that threads have at hand.
    pub cached: usize,
    /// Free memory that has pages: free runs of the arena, what is free inside of slabs, cached mappings.
    pub dirty: usize,
    /// The allocator's tables.
    pub metadata: usize,
    /// Everything else of the process: programs and libraries, stacks, mappings that it made itself.
    pub not_ours: usize,
    /// What the kernel counts, by /proc/self/smaps_rollup.
    pub rss: usize,
    /// What it has swapped out.
    pub swapped: usize,
    /// What the process's control group has with others' and with files, where that can be seen.
    pub group_bytes: Option<usize>,
    /// The group's limit. None where there is none.
    pub group_limit: Option<usize>,
}

impl Residency {
    /// Asks the kernel for each page of the allocator's, and for the sum over all of the process. It allocates
    /// nothing; it takes some milliseconds for each gibibyte. None where /proc is not mounted.
    pub fn read() -> Option<Residency> {
        let ours = ALLOCATOR.resident();
        let (all, group) = (usage()?, group());
        let sum = ours.live + ours.cached + ours.dirty + ours.metadata;
        Some(Residency {
            live: ours.live,
            cached: ours.cached,
            dirty: ours.dirty,
            metadata: ours.metadata,
            not_ours: all.resident.saturating_sub(sum),
            rss: all.resident,
            swapped: all.swapped,
            group_bytes: group.current,
            group_limit: group.limit,
        })
    }
}

impl Residency {
    /// Writes a page for people.
    ///
    /// # Errors
    /// What `out` gives.
    pub fn write_text(&self, out: &mut impl Write) -> Result {
        for (name, bytes, what) in [
            ("live", Some(self.live), "with the program, and touched"),
            ("cached", Some(self.cached), "free blocks that threads have at hand"),
            ("dirty", Some(self.dirty), "free, and has pages"),
            ("metadata", Some(self.metadata), "tables of the allocator"),
            ("not ours", Some(self.not_ours), "programs, libraries, stacks, mappings of the program's own"),
            ("RSS", Some(self.rss), "all of it, as the kernel counts"),
            ("swapped", Some(self.swapped), "not in memory"),
            ("group", self.group_bytes, "the control group, with others and files"),
            ("limit", self.group_limit, "of the control group"),
        ] {
            let Some(bytes) = bytes else { continue };
            print::word(out, name, 11)?;
            print::size(out, bytes)?;
            ["  ", what, "\n"].into_iter().try_for_each(|text| out.write_str(text))?;
        }
        Ok(())
    }
}

impl Display for Residency {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        self.write_text(out)
    }
}
