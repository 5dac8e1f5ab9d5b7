// SPDX-License-Identifier: GPL-2.0
//! Where the machine's pages are, as far as the kernel tells: a page nobody accounts for is a leaked one.
//!
//! Free pages alone are too coarse: caches grow and per-processor lists fill by more than a leak of
//! one page a cycle. Pages from `alloc_page` appear in none of the sums below.

use std::time::Duration;

use crate::sys::PAGE;

/// What of /proc/meminfo adds up without overlap.
const KNOWN: [&str; 11] = [
    "MemFree:",
    "Buffers:",
    "Cached:",
    "SwapCached:",
    "AnonPages:",
    "Slab:",
    "KernelStack:",
    "PageTables:",
    "SecPageTables:",
    "VmallocUsed:",
    "Percpu:",
];

/// Pages that are in no known use: the kernel's own, which do not change, and those leaked. The least of
/// several looks, as what is freed by a work item or by RCU is nowhere for a while.
pub fn unexplained_pages() -> Result<i64, String> {
    let mut least = i64::MAX;
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(100));
        settle()?;
        least = least.min(total()? - known()? - on_processor_lists()?);
    }
    Ok(least)
}

/// Each processor keeps freed pages in batches on their way to the LRU lists, 31 of them since Linux 6.12, and
/// counts for up to a second for itself: neither shows in any sum. The first write drains, the second adds up.
fn settle() -> Result<(), String> {
    for path in ["/proc/sys/vm/drop_caches", "/proc/sys/vm/stat_refresh"] {
        std::fs::write(path, "1").map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

fn total() -> Result<i64, String> {
    meminfo(&["MemTotal:"])
}

fn known() -> Result<i64, String> {
    meminfo(&KNOWN)
}

fn meminfo(fields: &[&str]) -> Result<i64, String> {
    let mut kib = 0;
    for line in read("/proc/meminfo")?.lines() {
        if let Some(rest) = fields.iter().find_map(|field| line.strip_prefix(field)) {
            kib += rest.trim().trim_end_matches(" kB").parse::<i64>().map_err(|_| line.to_string())?;
        }
    }
    Ok(kib * 1024 / PAGE as i64)
}

/// Free pages that each processor keeps for itself: not in MemFree.
fn on_processor_lists() -> Result<i64, String> {
    let text = read("/proc/zoneinfo")?;
    Ok(text.lines().filter_map(|line| line.trim().strip_prefix("count:")?.trim().parse::<i64>().ok()).sum())
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}
