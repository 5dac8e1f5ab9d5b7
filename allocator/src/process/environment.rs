//! What the environment of the process sets.

use super::ALLOCATOR;
use crate::config::parse_bytes;
use crate::fatal;
use crate::os::linux::environment;

/// `BRKMAP_MMAP_THRESHOLD` and glibc's `MALLOC_MMAP_THRESHOLD_`: ours wins; `BRKMAP_HUGE_FROM`. A value that
/// is none is said to be so and left alone.
pub fn read_environment() {
    read_threshold();
    if let Some(text) = environment(b"BRKMAP_HUGE_FROM") {
        match parse_bytes(text) {
            Some(bytes) => ALLOCATOR.arena.set_huge_from(bytes),
            None => fatal::warn(c"BRKMAP_HUGE_FROM is ignored: not a count of bytes (decimal, or 0x…)"),
        }
    }
}

fn read_threshold() {
    for name in [&b"BRKMAP_MMAP_THRESHOLD"[..], b"MALLOC_MMAP_THRESHOLD_"] {
        let Some(text) = environment(name) else { continue };
        if parse_bytes(text).is_some_and(|bytes| ALLOCATOR.tunables.set_mmap_threshold(bytes)) {
            return;
        }
        if name.starts_with(b"BRKMAP") {
            fatal::warn(
                c"BRKMAP_MMAP_THRESHOLD is ignored: not a count of bytes up to 33554432 (decimal, or 0x…)",
            );
        }
    }
}
