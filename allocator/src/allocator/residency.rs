//! What of the allocator's memory has pages, by what it is used for.
#![forbid(unsafe_code)]

use super::Allocator;
use crate::arena::Use;
use crate::large::LargePart;
use crate::os::Os;

/// Bytes that have pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    pub live: usize,
    pub cached: usize,
    pub dirty: usize,
    pub metadata: usize,
}

impl<O: Os> Allocator<O> {
    /// Asks the kernel for the pages of everything that there is, with no lock held. A page of a slab may hold
    /// blocks of every kind: of those pages what is live counts first, then what is at hand, and the rest is
    /// dirty. Where they are fewer than that, both have their share.
    pub fn resident(&self) -> Resident {
        let stats = self.stats();
        let mut found = Resident::default();
        let (mut slabs, mut spans) = (0, 0);
        let pages = |at, len| self.arena.os.resident(at, len);
        self.arena.for_each_part(|part| {
            let bytes = pages(part.at, part.len);
            match part.used_for {
                Use::None => {}
                Use::Free => found.dirty += bytes,
                Use::Slab => slabs += bytes,
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
        let blocks = stats.small_bytes + stats.cached;
        let share = |bytes: usize| match blocks {
            0 => 0,
            // Without overflow: addresses have 48 bits.
            _ if slabs < blocks => ((bytes as u128 * slabs as u128) / blocks as u128) as usize,
            _ => bytes,
        };
        let (small, cached) = (share(stats.small_bytes), share(stats.cached));
        found.live = small + spans + large;
        found.cached = cached;
        found.dirty += slabs - (small + cached).min(slabs);
        found
    }
}
