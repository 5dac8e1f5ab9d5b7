//! The areas of this process, from /proc/self/maps and smaps.

use brkmap_base::error::{During, Result};
use brkmap_witness::maps::Maps;
use procfs::process::Process;

/// As they are now.
pub fn now() -> Result<Maps> {
    Maps::of_this_process().during("read /proc/self/maps")
}

/// The line of /proc/self/maps that covers `addr`, as the kernel wrote it.
pub fn line_of(addr: usize) -> Result<Option<String>> {
    Ok(now()?.covering(addr).map(|region| region.line.to_owned()))
}

/// A figure of smaps for the area that covers `addr`, in bytes: `Rss`, `Shared_Dirty`, `Anonymous`...
pub fn smaps_bytes(addr: usize, field: &str) -> Result<Option<u64>> {
    let maps = Process::myself().and_then(|me| me.smaps()).during("read /proc/self/smaps")?;
    let addr = addr as u64;
    let area = maps.iter().find(|map| (map.address.0..map.address.1).contains(&addr));
    Ok(area.and_then(|map| map.extension.map.get(field).copied()))
}
