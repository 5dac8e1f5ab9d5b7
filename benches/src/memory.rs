//! What the kernel says this process has in memory, read without asking the allocator for anything.

use std::fs::File;
use std::io::Read;

/// KiB resident now, counted from the page tables: the cheap counters may lag by megabytes.
pub fn resident_kib() -> u64 {
    field("/proc/self/smaps_rollup", "Rss:")
}

/// KiB resident at most so far, in this program alone: what `wait4` says has the parent's in it.
pub fn peak_kib() -> u64 {
    field("/proc/self/status", "VmHWM:")
}

/// Page faults of this process so far that needed no disk.
pub fn minor_faults() -> u64 {
    let mut buffer = [0; 1024];
    let read = File::open("/proc/self/stat").and_then(|mut file| file.read(&mut buffer)).unwrap_or(0);
    std::str::from_utf8(&buffer[..read]).map_or(0, faults)
}

/// The tenth field; the second is a name in parentheses that may hold anything.
fn faults(stat: &str) -> u64 {
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after.split_whitespace().nth(7).and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn field(path: &str, name: &str) -> u64 {
    let mut buffer = [0; 4096];
    let mut filled = 0;
    let Ok(mut file) = File::open(path) else { return 0 };
    while let Ok(read @ 1..) = file.read(&mut buffer[filled..]) {
        filled += read;
    }
    std::str::from_utf8(&buffer[..filled]).map_or(0, |text| kib(text, name))
}

fn kib(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_in_kib() {
        let text = "VmPeak:\t  100 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 7 kB\n";
        assert_eq!(kib(text, "VmHWM:"), 2048);
        assert_eq!(kib(text, "VmSwap:"), 0);
    }

    #[test]
    fn faults_are_the_tenth_field_whatever_the_name() {
        assert_eq!(faults("12 (a ) b) S 1 2 3 4 5 6 789 8 9"), 789);
        assert_eq!(faults(""), 0);
    }

    #[test]
    fn a_page_touched_for_the_first_time_is_a_fault() {
        let before = minor_faults();
        std::hint::black_box(vec![1u8; 8 << 20]);
        assert!(minor_faults() > before);
    }

    #[test]
    fn this_process_has_memory_and_its_peak_is_no_less() {
        let block = std::hint::black_box(vec![1u8; 8 << 20]);
        assert!(resident_kib() >= 8 << 10);
        drop(block);
        assert!(peak_kib() >= 8 << 10);
    }
}
