//! Statistics: how much memory is live, dirty, cached and mapped.

use crate::arena::BreakMode;
use crate::process::ALLOCATOR;

/// How much memory the allocator of this process has, in bytes. Other threads go on while it is read, so the
/// figures need not fit each other to the byte.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();
///
/// fn main() {
///     let table = vec![1u8; 10 << 20];
///     let stats = brkmap::Stats::read();
///     println!("{} KiB live, {} KiB free with pages", stats.live_bytes() >> 10, stats.dirty_bytes >> 10);
///     assert!(stats.large_bytes >= table.len());
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// How the arena grew last. None before the first request.
    pub break_mode: Option<BreakMode>,
    /// Bytes that the arena has gained and not given back as addresses, free ones included.
    pub arena_bytes: usize,
    /// Bytes of it that are slabs or spans.
    pub arena_used_bytes: usize,
    /// The most that `arena_used_bytes` has been.
    pub arena_peak_bytes: usize,
    /// Bytes of the small blocks that are with the program or in a thread's magazines.
    pub small_bytes: usize,
    /// Bytes of slabs.
    pub slab_bytes: usize,
    /// Large blocks.
    pub large_blocks: usize,
    /// Their bytes.
    pub large_bytes: usize,
    /// Freed mappings kept for reuse.
    pub cached_blocks: usize,
    /// Their bytes.
    pub cached_bytes: usize,
    /// Free bytes that may still have pages behind them: free runs of the arena, and cached mappings. An
    /// upper bound.
    pub dirty_bytes: usize,
    /// Free bytes at the end of the break.
    pub top_bytes: usize,
    /// Thread heaps that were made, those of ended threads included.
    pub heaps: u32,
    /// A request of this many bytes or more is a mapping of its own.
    pub mmap_threshold: usize,
}

impl Stats {
    /// Reads the figures. It takes each thread heap's lock for a moment. Heaps of one's own are not in them:
    /// see [Heap](crate::Heap).
    ///
    /// ```
    /// assert_eq!(brkmap::Stats::read().mmap_threshold, 128 << 10);
    /// ```
    pub fn read() -> Stats {
        let arena = ALLOCATOR.arena.figures();
        let large = ALLOCATOR.large.figures();
        let (mut slab_bytes, mut small_bytes) = (0, 0);
        ALLOCATOR.registry.for_each(|heap| {
            let (slabs, used) = heap.slab_figures(&ALLOCATOR.arena);
            slab_bytes += slabs;
            small_bytes += used;
        });
        // Looking at a heap drains its inbox, which may free slabs.
        ALLOCATOR.purge_excess();
        Stats {
            break_mode: arena.map(|arena| arena.mode),
            arena_bytes: arena.map_or(0, |arena| arena.gained.0),
            arena_used_bytes: arena.map_or(0, |arena| arena.in_use.0),
            arena_peak_bytes: arena.map_or(0, |arena| arena.peak_in_use.0),
            small_bytes,
            slab_bytes,
            large_blocks: large.live,
            large_bytes: large.live_bytes,
            cached_blocks: large.cached,
            cached_bytes: large.cached_bytes,
            dirty_bytes: arena.map_or(0, |arena| arena.dirty.0) + large.cached_bytes,
            top_bytes: arena.map_or(0, |arena| arena.free_at_top.0),
            heaps: ALLOCATOR.registry.count(),
            mmap_threshold: ALLOCATOR.tunables.mmap_threshold(),
        }
    }

    /// Bytes that the program has. An upper bound: blocks in threads' magazines count as in use.
    ///
    /// ```
    /// let stats = brkmap::Stats::read();
    /// assert!(stats.live_bytes() >= stats.small_bytes + stats.large_bytes);
    /// ```
    pub fn live_bytes(&self) -> usize {
        self.small_bytes
            + (self.arena_used_bytes - self.slab_bytes.min(self.arena_used_bytes))
            + self.large_bytes
    }
}
