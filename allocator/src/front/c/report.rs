//! The figures in the ways of malloc's family: `mallinfo`, `mallinfo2`, and `malloc_stats` as text on
//! standard error.

use super::hand_on;
use super::mallinfo::{MallInfo, MallInfo2};
use super::names::Front;
use crate::front::stats::Stats;
use crate::os::output::Writer;

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
    let in_arena = stats.allocated - stats.large_bytes;
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

/// `malloc_stats`: a page on standard error.
pub fn malloc_stats<F>() {
    Writer::to(2).page(|out| Stats::read().write_text(out, Some(Stats::classes())));
}
