//! How much memory this process has, in bytes.

use std::fs::File;
use std::io::Read;

use crate::page_size;

/// Resident now, counted from the page tables: the cheap counters may lag by megabytes.
pub fn resident() -> usize {
    kib_of("/proc/self/smaps_rollup", "Rss:") << 10
}

/// Resident now and of no file: what a program allocated is among it, and not the pages of its code that ran meanwhile.
pub fn anonymous() -> usize {
    kib_of("/proc/self/smaps_rollup", "Anonymous:") << 10
}

/// Resident at most so far, in this program alone: what `wait4` says has the parent's in it.
pub fn peak() -> usize {
    kib_of("/proc/self/status", "VmHWM:") << 10
}

/// Address space.
pub fn address_space() -> usize {
    pages_of_statm(0) * page_size()
}

/// What RLIMIT_DATA counts: private writable mappings and the break.
pub fn data() -> usize {
    pages_of_statm(5) * page_size()
}

/// How many mappings there are: lines of /proc/self/maps.
pub fn mappings() -> usize {
    let mut lines = 0;
    let mut text = [0; 4096];
    let mut file = File::open("/proc/self/maps").expect("/proc/self/maps");
    while let Ok(read @ 1..) = file.read(&mut text) {
        lines += text[..read].iter().filter(|byte| **byte == b'\n').count();
    }
    lines
}

/// Mappings that the kernel lets a process have, but for one or two.
pub fn mappings_allowed() -> usize {
    with_text("/proc/sys/vm/max_map_count", |text| number(text.trim()))
}

/// Bytes that are locked into memory (mlock(2)).
pub fn locked() -> usize {
    kib_of("/proc/self/status", "VmLck:") << 10
}

/// Threads that have not ended.
pub fn threads() -> usize {
    with_text("/proc/self/status", |text| field(text, "Threads:"))
}

fn pages_of_statm(field: usize) -> usize {
    with_text("/proc/self/statm", |text| text.split(' ').nth(field).map_or(0, number))
}

fn kib_of(path: &str, name: &str) -> usize {
    with_text(path, |text| field(text, name))
}

/// The number of a field of status or smaps, in its unit.
fn field(text: &str, name: &str) -> usize {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()).map_or(0, number)
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or(0)
}

/// Hands over what the file says, as far as 4 KiB hold it; an empty text where there is no such file.
fn with_text<T>(path: &str, work: impl FnOnce(&str) -> T) -> T {
    let mut buffer = [0; 4096];
    let mut filled = 0;
    if let Ok(mut file) = File::open(path) {
        while let Ok(read @ 1..) = file.read(&mut buffer[filled..]) {
            filled += read;
        }
    }
    work(std::str::from_utf8(&buffer[..filled]).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_in_kib() {
        let text = "VmPeak:\t  100 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 7 kB\n";
        assert_eq!(field(text, "VmHWM:"), 2048);
        assert_eq!(field(text, "VmSwap:"), 0);
    }

    #[test]
    fn this_process_has_memory_and_its_peak_is_no_less() {
        let block = std::hint::black_box(vec![1u8; 8 << 20]);
        assert!(resident() >= 8 << 20 && data() >= 8 << 20 && address_space() > data());
        drop(block);
        assert!(peak() >= 8 << 20);
        assert!((1..mappings_allowed()).contains(&mappings()));
    }
}
