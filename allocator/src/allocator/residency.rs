//! The resident memory of the process, explained: what of the allocator's has pages, by what it is used for.
#![forbid(unsafe_code)]

use super::Allocator;
use crate::arena::parts::Use;
use crate::base::print;
use crate::large::parts::LargePart;
use crate::os::Os;
use crate::os::usage::{group, usage};
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

/// The allocator's bytes that have pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resident {
    pub live: usize,
    pub cached: usize,
    pub dirty: usize,
    pub metadata: usize,
}

impl<O: Os> Allocator<O> {
    /// Explains the resident memory of this process. None where /proc is not mounted.
    pub fn residency(&self) -> Option<Residency> {
        let ours = self.resident();
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

    /// Asks the kernel for the pages of everything that there is, with no lock held. A page of a slab may
    /// hold blocks of every kind: of those pages what is live counts first, then what is at hand, and the
    /// rest is dirty. Where they are fewer than that, both have their share.
    pub(super) fn resident(&self) -> Resident {
        let stats = self.stats();
        let mut found = Resident::default();
        let (mut slabs, mut chunks, mut spans) = (0, 0, 0);
        let pages = |at, len| self.arena.os.resident(at, len);
        self.arena.for_each_part(|part| {
            let bytes = pages(part.at, part.len);
            match part.used_for {
                Use::None => {}
                Use::Free | Use::Dirty => found.dirty += bytes,
                Use::Slab => slabs += bytes,
                Use::Chunk => chunks += bytes,
                Use::Span => spans += bytes,
                Use::Tables => found.metadata += bytes,
            }
        });
        let mut large = 0;
        self.large.for_each_part(|part| match part {
            LargePart::Block(at, len) => large += pages(at, len),
            LargePart::Cached(at, len) => found.dirty += pages(at, len),
            LargePart::Table(at, len) => found.metadata += pages(at, len),
        });
        self.registry.for_each_mapping(&self.arena, |at, len| found.metadata += pages(at, len));
        let small = Shares::of(slabs, stats.small_bytes, stats.cached - stats.medium_at_hand);
        let medium = Shares::of(chunks, stats.medium_bytes, stats.medium_at_hand);
        found.live = small.live + medium.live + spans + large;
        found.cached = small.cached + medium.cached;
        found.dirty += small.dirty + medium.dirty;
        found
    }
}

/// Pages of slabs or of chunks, by what is on them.
struct Shares {
    live: usize,
    cached: usize,
    dirty: usize,
}

impl Shares {
    fn of(pages: usize, live: usize, cached: usize) -> Shares {
        let blocks = live + cached;
        let share = |bytes: usize| match blocks {
            0 => 0,
            // Without overflow: addresses have 48 bits.
            _ if pages < blocks => ((bytes as u128 * pages as u128) / blocks as u128) as usize,
            _ => bytes,
        };
        let (live, cached) = (share(live), share(cached));
        Shares { live, cached, dirty: pages - (live + cached).min(pages) }
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
