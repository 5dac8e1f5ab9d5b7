//! The figures in the ways of malloc's family: `mallinfo`, `mallinfo2`, and `malloc_stats` as text on
//! standard error.

use super::hand_on;
use super::mallinfo::{MallInfo, MallInfo2};
use super::names::Front;
use crate::base::text::Text;
use crate::front::stats::Stats;

/// `mallinfo`.
pub fn mallinfo<F: Front>() -> MallInfo {
    hand_on::mallinfo::<F>().unwrap_or_else(figures).into()
}

/// `mallinfo2`.
pub fn mallinfo2<F: Front>() -> MallInfo2 {
    hand_on::mallinfo2::<F>().unwrap_or_else(figures)
}

/// This allocator's figures, whatever the process's malloc is.
pub fn figures() -> MallInfo2 {
    let stats = Stats::read();
    let in_arena = stats.live_bytes() - stats.large_bytes;
    MallInfo2 {
        arena: stats.arena_bytes,
        hblks: stats.large_blocks,
        hblkhd: stats.large_bytes,
        usmblks: stats.arena_peak_bytes,
        uordblks: in_arena,
        fordblks: stats.arena_bytes.saturating_sub(in_arena),
        keepcost: stats.top_bytes,
        ..MallInfo2::default()
    }
}

/// `malloc_stats`: a few lines on standard error.
pub fn malloc_stats<F>() {
    let stats = Stats::read();
    let mut out = Text::<1024>::new();
    out.push("brkmap: break            ");
    out.push(stats.break_mode.map_or("not started", |mode| mode.name()));
    for (label, figure) in [
        ("\nbrkmap: arena bytes      ", stats.arena_bytes),
        ("  in use ", stats.arena_used_bytes),
        ("  peak ", stats.arena_peak_bytes),
        ("\nbrkmap: slab bytes       ", stats.slab_bytes),
        ("  in use ", stats.small_bytes),
        ("\nbrkmap: mappings         ", stats.large_blocks),
        ("  bytes  ", stats.large_bytes),
        ("\nbrkmap: cached mappings  ", stats.cached_blocks),
        ("  bytes  ", stats.cached_bytes),
        ("\nbrkmap: dirty bytes      ", stats.dirty_bytes),
        ("  heaps  ", stats.heaps as usize),
    ] {
        out.push(label);
        out.number(figure, 12);
    }
    out.push("\n");
    out.to_stderr();
}
