//! What the kernel says of the process's memory: the sums of its mappings, and its control group.
#![forbid(unsafe_code)]

use super::environment::read_file;
use crate::base::text::Text;
use core::ffi::CStr;

/// Bytes that the process has in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub resident: usize,
    pub swapped: usize,
}

/// A control group's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub current: Option<usize>,
    pub limit: Option<usize>,
}

/// proc_pid_smaps(5), smaps_rollup; where the kernel has none (before 4.14), proc_pid_status(5). None where
/// /proc is not mounted.
pub fn usage() -> Option<Usage> {
    let mut buffer = [0; 4096];
    let rows = |text: &[u8], resident: &[u8], swapped: &[u8]| {
        Some(Usage { resident: kibibytes(text, resident)?, swapped: kibibytes(text, swapped).unwrap_or(0) })
    };
    let of_all = read(c"/proc/self/smaps_rollup", &mut buffer);
    let of_all = of_all.and_then(|text| rows(text, b"Rss:", b"Swap:"));
    of_all.or_else(|| rows(read(c"/proc/self/status", &mut buffer)?, b"VmRSS:", b"VmSwap:"))
}

/// No limit, as version 1 says it: all of it that a page divides.
const NO_LIMIT: usize = 1 << 62;

/// The control group of the process that counts memory (cgroups(7)), of either version. Nothing of it is
/// known where it is not to be seen here.
pub fn group() -> Group {
    let mut buffer = [0; 2048];
    let groups = read(c"/proc/self/cgroup", &mut buffer).unwrap_or_default();
    let mut lines = groups.split(|&byte| byte == b'\n');
    let first = lines.clone().find_map(|line| {
        let (_, rest) = line.split_at_checked(line.iter().position(|&byte| byte == b':')?)?;
        rest.strip_prefix(b":memory:")
    });
    let (at, own, [current, limit]) = match first {
        Some(own) => ("/sys/fs/cgroup/memory", own, ["/memory.usage_in_bytes", "/memory.limit_in_bytes"]),
        None => {
            let own = lines.find_map(|line| line.strip_prefix(b"0::")).unwrap_or_default();
            ("/sys/fs/cgroup", own, ["/memory.current", "/memory.max"])
        }
    };
    let figure = |name: &str| {
        let mut path = Text::<2200>::new();
        path.push(at);
        path.push_bytes(own.iter().copied());
        path.push(name);
        path.push_bytes(core::iter::once(0));
        let mut buffer = [0; 64];
        number(read(CStr::from_bytes_with_nul(path.bytes()).ok()?, &mut buffer)?)
    };
    Group { current: figure(current), limit: figure(limit).filter(|&limit| limit < NO_LIMIT) }
}

/// The first bytes of a file.
fn read<'a>(path: &CStr, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let len = read_file(path, buffer)?;
    buffer.get(..len)
}

/// The figure of a row `Name:   123 kB`, in bytes.
fn kibibytes(text: &[u8], name: &[u8]) -> Option<usize> {
    let row = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name))?;
    number(row)?.checked_mul(1024)
}

/// The number that a text begins with, behind blanks.
fn number(text: &[u8]) -> Option<usize> {
    let digits = text.trim_ascii_start();
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    core::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_name_and_read_in_bytes() {
        let text =
            b"55d0-7ff0 ---p 00000000  [rollup]\nRss:            1984 kB\nPss_Dirty:   12 kB\nSwap:  0 kB\n";
        assert_eq!((kibibytes(text, b"Rss:"), kibibytes(text, b"Swap:")), (Some(1984 << 10), Some(0)));
        assert_eq!(
            (kibibytes(text, b"Pss:"), number(b"max\n"), number(b"9223372036854771712\n")),
            (None, None, Some(9223372036854771712))
        );
    }

    #[test]
    #[cfg_attr(miri, ignore = "no /proc")]
    fn this_process_has_memory() {
        let used = usage().expect("/proc");
        assert!((1 << 20..1 << 40).contains(&used.resident), "{used:?}");
        if let (Some(current), Some(limit)) = (group().current, group().limit) {
            assert!(current <= limit, "{current} of {limit}");
        }
    }
}
