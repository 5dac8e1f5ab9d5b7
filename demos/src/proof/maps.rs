//! The areas of this process, from /proc/self/maps and smaps.

use procfs::process::Process;

use crate::trouble::{During, Trouble};

/// The line of /proc/self/maps that covers `addr`, as the kernel wrote it.
pub fn line_of(addr: usize) -> Result<Option<String>, Trouble> {
    let maps = std::fs::read_to_string("/proc/self/maps").during("read /proc/self/maps")?;
    Ok(maps.lines().find(|line| covers(line, addr)).map(str::to_owned))
}

/// The whole of /proc/self/maps, to compare.
pub fn lines() -> Result<Vec<String>, Trouble> {
    let maps = std::fs::read_to_string("/proc/self/maps").during("read /proc/self/maps")?;
    Ok(maps.lines().map(str::to_owned).collect())
}

fn covers(line: &str, addr: usize) -> bool {
    let Some((range, _)) = line.split_once(' ') else { return false };
    let Some((from, to)) = range.split_once('-') else { return false };
    let hex = |text| usize::from_str_radix(text, 16).unwrap_or(0);
    (hex(from)..hex(to)).contains(&addr)
}

/// A figure of smaps for the area that covers `addr`, in bytes: `Rss`, `Shared_Dirty`, `Anonymous`...
pub fn smaps_bytes(addr: usize, field: &str) -> Result<Option<u64>, Trouble> {
    let maps = Process::myself().and_then(|me| me.smaps()).during("read /proc/self/smaps")?;
    let addr = addr as u64;
    let area = maps.iter().find(|map| (map.address.0..map.address.1).contains(&addr));
    Ok(area.and_then(|map| map.extension.map.get(field).copied()))
}
