//! Statistics: a glance at what there is, which allocates nothing and gives nothing back.
#![forbid(unsafe_code)]

mod by_class;
mod by_heap;
mod json;
mod open_metrics;
mod parts;
mod text;

use super::Allocator;
use crate::arena::BreakMode;
use crate::base::checked::Checked;
use crate::base::why::{REASONS, Reason};
use crate::os::Os;
use crate::os::calls::{CALLS, Call, Tally};
pub use by_class::{ClassStats, Classes};
pub use by_heap::HeapStats;

/// How much memory the allocator of this process has, and what it asked of the kernel. Sizes are in bytes.
///
/// Each figure is right as of some moment while it is read. Where other threads are at work meanwhile they
/// need not fit each other to the byte; where none is, `allocated` is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Blocks that are with the program, each as long as it may use: of its size class, its granules of
    /// 64 KiB, or its pages.
    pub allocated: usize,
    /// What those blocks are in: slabs, chunks, spans and large mappings, whole.
    pub active: usize,
    /// What may have pages behind it, tables included: an upper bound, but for tables, which are estimated.
    pub resident: usize,
    /// All addresses that were got from the kernel and not given back, tables included.
    pub mapped: usize,
    /// Addresses of these that are free, and have no pages behind them.
    pub retained: usize,
    /// The allocator's own tables, as they are mapped. Most of their pages are never touched.
    pub metadata: usize,
    /// Free blocks that threads have at hand, or that are on their way home: of slabs and chunks, not in
    /// them.
    pub cached: usize,
    /// Free memory that may still have pages behind it: free runs of the arena, free blocks of chunks, and
    /// cached mappings.
    pub dirty: usize,
    /// How the arena grew last. None before the first request.
    pub break_mode: Option<BreakMode>,
    /// Where what was gained by the break begins and ends. Others may have moved it in between.
    pub break_start: usize,
    /// See `break_start`.
    pub break_end: usize,
    /// What the arena has of addresses, free ones included; the six figures' part below the mmap threshold.
    pub arena_bytes: usize,
    /// Of it what is slabs, chunks or spans.
    pub arena_used_bytes: usize,
    /// The most that `arena_used_bytes` has been.
    pub arena_peak_bytes: usize,
    /// Free bytes at the end of the break.
    pub top_bytes: usize,
    /// Slabs: granules of 64 KiB, carved into blocks of one class each.
    pub slab_bytes: usize,
    /// Blocks of slabs that are with the program.
    pub small_bytes: usize,
    /// Chunks: granules side by side, carved into medium blocks of one class each.
    pub chunk_bytes: usize,
    /// Medium blocks that are with the program: above 32 KiB, up to 256 KiB and below the mmap threshold.
    pub medium_bytes: usize,
    /// Of the free ones those that threads have at hand.
    pub(super) medium_at_hand: usize,
    /// Spans: blocks that are granules of the arena.
    pub span_bytes: usize,
    /// Large blocks: how many there are.
    pub large_blocks: usize,
    /// Their bytes.
    pub large_bytes: usize,
    /// Freed mappings that are kept for reuse: how many there are.
    pub cached_blocks: usize,
    /// Their bytes.
    pub cached_bytes: usize,
    /// Thread heaps that were made, those of ended threads included.
    pub heaps: u32,
    /// A request of this many bytes or more is a mapping of its own.
    pub mmap_threshold: usize,
    calls: Checked<Checked<Tally, REASONS>, CALLS>,
}

impl Stats {
    /// What was counted of a call, for whatever reason.
    pub fn calls(&self, call: Call) -> Tally {
        let sum = |sum: Tally, one: &Tally| Tally {
            calls: sum.calls + one.calls,
            bytes: sum.bytes + one.bytes,
            refused: sum.refused + one.refused,
        };
        self.calls[call as usize].0.iter().fold(Tally::default(), sum)
    }

    /// What was counted of a call for one reason.
    pub fn calls_for(&self, call: Call, reason: Reason) -> Tally {
        self.calls[call as usize][reason as usize]
    }

    /// Each call and reason that there was anything to count of.
    pub fn made(&self) -> impl Iterator<Item = (Call, Reason, Tally)> {
        let pairs = Call::ALL.into_iter().flat_map(|call| Reason::ALL.map(|reason| (call, reason)));
        let rows = pairs.map(|(call, reason)| (call, reason, self.calls_for(call, reason)));
        rows.filter(|(_, _, tally)| tally.calls > 0)
    }
}

/// Sums over all heaps.
#[derive(Default)]
struct Heaps {
    slabs: usize,
    resident: usize,
    used: usize,
    at_hand: usize,
    medium: usize,
    kept: usize,
    waiting: usize,
}

impl<O: Os> Allocator<O> {
    /// Reads the statistics. Of locks it takes the arena's, the large blocks' and the outboxes', each for as
    /// long as a few words are read, and no heap's.
    pub fn stats(&self) -> Stats {
        let heaps = self.sum_heaps();
        let (arena, large, chunks) = (self.arena.figures(), self.large.figures(), self.medium.figures());
        let of_arena = |of: fn(&crate::arena::figures::ArenaFigures) -> usize| arena.as_ref().map_or(0, of);
        let (gained, in_use) = (of_arena(|arena| arena.gained.0), of_arena(|arena| arena.in_use.0));
        let (free, dirty) = (of_arena(|arena| arena.free.0), of_arena(|arena| arena.dirty.0));
        let (heap_bytes, heap_pages) = self.registry.bytes(&self.arena);
        let metadata = of_arena(|arena| arena.tables.0) + large.table_bytes + heap_bytes;
        let in_tables = of_arena(|arena| arena.tables_in_use.0) + large.table_bytes + heap_pages;
        // What threads do meanwhile may make a part look larger than its whole.
        let in_outboxes = self.registry.outboxes().map_or(0, |outboxes| outboxes.bytes());
        let cached = heaps.kept + heaps.waiting + heaps.at_hand + in_outboxes;
        let small = heaps.used.saturating_sub(cached - heaps.kept);
        let (chunk, used, chunk_dirty) = (chunks.chunk_bytes.0, chunks.used_bytes.0, chunks.dirty_bytes.0);
        let medium = used.saturating_sub(heaps.medium);
        let span = in_use.saturating_sub(heaps.slabs + chunk);
        let dirty = dirty + chunk_dirty;
        Stats {
            allocated: small + medium + span + large.live_bytes,
            active: in_use + large.live_bytes,
            resident: heaps.resident
                + used
                + span
                + dirty
                + large.live_bytes
                + large.cached_bytes
                + in_tables,
            mapped: gained + large.live_bytes + large.cached_bytes + metadata,
            retained: (free + chunk).saturating_sub(dirty + used)
                + heaps.slabs.saturating_sub(heaps.resident),
            metadata,
            cached: cached + heaps.medium,
            medium_at_hand: heaps.medium,
            dirty: dirty + large.cached_bytes,
            break_mode: arena.as_ref().map(|arena| arena.mode),
            break_start: of_arena(|arena| arena.brk.0),
            break_end: of_arena(|arena| arena.brk.1),
            arena_bytes: gained,
            arena_used_bytes: in_use,
            arena_peak_bytes: of_arena(|arena| arena.peak_in_use.0),
            top_bytes: of_arena(|arena| arena.free_at_top.0),
            slab_bytes: heaps.slabs,
            small_bytes: small,
            chunk_bytes: chunk,
            medium_bytes: medium,
            span_bytes: span,
            large_blocks: large.live,
            large_bytes: large.live_bytes,
            cached_blocks: large.cached,
            cached_bytes: large.cached_bytes,
            heaps: self.registry.count(),
            mmap_threshold: self.arena.settings.mmap_threshold(),
            calls: Checked(
                Call::ALL
                    .map(|call| Checked(Reason::ALL.map(|reason| self.arena.os.made().tally(call, reason)))),
            ),
        }
    }

    fn sum_heaps(&self) -> Heaps {
        let mut sum = Heaps::default();
        self.registry.for_each(|heap| {
            let one = heap.glance();
            sum.slabs += one.slabs;
            sum.resident += one.resident;
            sum.used += one.used;
            sum.at_hand += one.at_hand;
            sum.medium += one.medium;
            sum.kept += one.kept;
            sum.waiting += one.waiting;
        });
        sum
    }
}
