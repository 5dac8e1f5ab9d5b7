//! What the environment of the process sets.

use super::instance::ALLOCATOR;
use crate::base::config::parse_bytes;
use crate::base::fatal;
use crate::os::linux::environment;

/// `BRKMAP_MMAP_THRESHOLD` and glibc's `MALLOC_MMAP_THRESHOLD_`: ours wins. A value that is none is said to
/// be so and left alone.
pub fn read_environment() {
    let conf = environment(b"BRKMAP_CONF").unwrap_or_default();
    let get =
        |key: &[u8]| conf.split(|&b| b == b',').find_map(|entry| entry.strip_prefix(key)?.strip_prefix(b":"));
    super::reports::begin_log(get(b"log"));
    if get(b"stats") == Some(b"exit") {
        super::reports::report_at_exit(get(b"stats_out"));
    }
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
