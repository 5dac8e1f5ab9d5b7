//! The figures in the ways of malloc's family: `mallinfo2` as a struct, `malloc_stats` as text on standard
//! error, from a buffer on the stack.

use crate::stats::Stats;
use core::fmt::{self, Write};

struct Buffer {
    bytes: [u8; 1024],
    len: usize,
}

impl Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// mallinfo2(3)'s struct.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct MallInfo2 {
    pub arena: usize,
    pub ordblks: usize,
    pub smblks: usize,
    pub hblks: usize,
    pub hblkhd: usize,
    pub usmblks: usize,
    pub fsmblks: usize,
    pub uordblks: usize,
    pub fordblks: usize,
    pub keepcost: usize,
}

pub fn mallinfo2<W>() -> MallInfo2 {
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

pub fn malloc_stats<W>() {
    let stats = Stats::read();
    let mut out = Buffer { bytes: [0; 1024], len: 0 };
    // What does not fit is left out.
    let _ = write!(
        out,
        "brkmap: break            {}\n\
         brkmap: arena bytes      {:>12}  in use {:>12}  peak {:>12}\n\
         brkmap: slab bytes       {:>12}  in use {:>12}\n\
         brkmap: mappings         {:>12}  bytes  {:>12}\n\
         brkmap: cached mappings  {:>12}  bytes  {:>12}\n\
         brkmap: dirty bytes      {:>12}  heaps  {:>12}\n",
        stats.break_mode.map_or("not started", |mode| mode.name()),
        stats.arena_bytes,
        stats.arena_used_bytes,
        stats.arena_peak_bytes,
        stats.slab_bytes,
        stats.small_bytes,
        stats.large_blocks,
        stats.large_bytes,
        stats.cached_blocks,
        stats.cached_bytes,
        stats.dirty_bytes,
        stats.heaps,
    );
    // SAFETY: the initialised part of the buffer.
    unsafe { libc::write(2, out.bytes.as_ptr().cast(), out.len) };
}
