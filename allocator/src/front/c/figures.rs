//! `brkmap_stats` and `brkmap_stats_json`: the statistics for programs in C.
#![allow(unsafe_code)]

use crate::front::stats::{Call, Stats, Tally};
use core::ffi::{c_char, c_int, c_uint};
use core::fmt::Write;

/// Of the struct below. A later version adds fields at its end, and takes this one still.
const VERSION: c_uint = 1;

/// What was counted of a call: `struct brkmap_calls`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct CallCounts {
    calls: usize,
    bytes: usize,
    refused: usize,
}

/// `struct brkmap_stats` of brkmap.h. Sizes are in bytes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct CStats {
    allocated: usize,
    active: usize,
    resident: usize,
    mapped: usize,
    retained: usize,
    metadata: usize,
    cached: usize,
    dirty: usize,
    break_start: usize,
    break_end: usize,
    arena: usize,
    arena_used: usize,
    arena_peak: usize,
    top: usize,
    slabs: usize,
    small: usize,
    chunks: usize,
    medium: usize,
    spans: usize,
    large: usize,
    large_blocks: usize,
    cached_mappings: usize,
    heaps: usize,
    mmap_threshold: usize,
    calls: [CallCounts; 7],
}

impl From<Tally> for CallCounts {
    fn from(Tally { calls, bytes, refused }: Tally) -> CallCounts {
        CallCounts { calls, bytes, refused }
    }
}

impl From<Stats> for CStats {
    fn from(stats: Stats) -> CStats {
        CStats {
            allocated: stats.allocated,
            active: stats.active,
            resident: stats.resident,
            mapped: stats.mapped,
            retained: stats.retained,
            metadata: stats.metadata,
            cached: stats.cached,
            dirty: stats.dirty,
            break_start: stats.break_start,
            break_end: stats.break_end,
            arena: stats.arena_bytes,
            arena_used: stats.arena_used_bytes,
            arena_peak: stats.arena_peak_bytes,
            top: stats.top_bytes,
            slabs: stats.slab_bytes,
            small: stats.small_bytes,
            chunks: stats.chunk_bytes,
            medium: stats.medium_bytes,
            spans: stats.span_bytes,
            large: stats.large_bytes,
            large_blocks: stats.large_blocks,
            cached_mappings: stats.cached_bytes,
            heaps: stats.heaps as usize,
            mmap_threshold: stats.mmap_threshold,
            calls: Call::ALL.map(|call| stats.calls(call).into()),
        }
    }
}

/// Fills the first `size` bytes of a struct of a version. What is behind the fields that are known here is
/// zeroed. 0, or EINVAL where the version is not known.
///
/// # Safety
/// `out` has room for `size` bytes.
pub unsafe fn brkmap_stats<F>(out: *mut CStats, size: usize, version: c_uint) -> c_int {
    if version != VERSION || out.is_null() {
        return libc::EINVAL;
    }
    let stats = CStats::from(Stats::read());
    let (known, out) = (size.min(size_of::<CStats>()), out.cast::<u8>());
    // SAFETY: as the caller vouches, and of the struct no more bytes than it has.
    unsafe { core::ptr::from_ref(&stats).cast::<u8>().copy_to_nonoverlapping(out, known) };
    // SAFETY: the rest of the caller's bytes.
    unsafe { out.add(known).write_bytes(0, size - known) };
    0
}

/// Writes the statistics as one object of JSON, with the size classes, as far as there is room with a NUL at
/// the end. The bytes of all of it, without that: where they are `len` or more, it was cut.
///
/// # Safety
/// `out` has room for `len` bytes.
pub unsafe fn brkmap_stats_json<F>(out: *mut c_char, len: usize) -> usize {
    let mut buffer = Buffer { at: out.cast(), room: len.saturating_sub(1), written: 0 };
    // It takes all.
    _ = Stats::read().write_json(&mut buffer, Some(Stats::classes()));
    if len > 0 {
        // SAFETY: as the caller vouches: one byte behind what `Buffer` wrote at most.
        unsafe { buffer.at.add(buffer.written.min(buffer.room)).write(0) };
    }
    buffer.written
}

/// The caller's bytes. What does not fit is only counted.
struct Buffer {
    at: *mut u8,
    room: usize,
    written: usize,
}

impl Write for Buffer {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let from = self.written.min(self.room);
        let fits = text.len().min(self.room - from);
        // SAFETY: inside of the caller's room.
        unsafe { text.as_ptr().copy_to_nonoverlapping(self.at.wrapping_add(from), fits) };
        self.written += text.len();
        Ok(())
    }
}
