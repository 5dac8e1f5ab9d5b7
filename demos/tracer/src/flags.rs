//! The names of the flags of memory calls, spelled and ordered as strace prints them.

use std::fmt::Write;

use libc::c_int;

type Names = &'static [(c_int, &'static str)];

const PROTECTIONS: Names = &[
    (libc::PROT_READ, "PROT_READ"),
    (libc::PROT_WRITE, "PROT_WRITE"),
    (libc::PROT_EXEC, "PROT_EXEC"),
    (libc::PROT_GROWSDOWN, "PROT_GROWSDOWN"),
    (libc::PROT_GROWSUP, "PROT_GROWSUP"),
];

/// The low bits of mmap's flags are a number, not bits: these are its values.
const SHARING: Names = &[
    (libc::MAP_SHARED, "MAP_SHARED"),
    (libc::MAP_PRIVATE, "MAP_PRIVATE"),
    (libc::MAP_SHARED_VALIDATE, "MAP_SHARED_VALIDATE"),
];
const SHARING_MASK: c_int = 0xf;

const MAPPING: Names = &[
    (libc::MAP_FIXED, "MAP_FIXED"),
    (libc::MAP_ANONYMOUS, "MAP_ANONYMOUS"),
    #[cfg(target_arch = "x86_64")]
    (libc::MAP_32BIT, "MAP_32BIT"),
    (libc::MAP_GROWSDOWN, "MAP_GROWSDOWN"),
    (libc::MAP_DENYWRITE, "MAP_DENYWRITE"),
    (libc::MAP_EXECUTABLE, "MAP_EXECUTABLE"),
    (libc::MAP_LOCKED, "MAP_LOCKED"),
    (libc::MAP_NORESERVE, "MAP_NORESERVE"),
    (libc::MAP_POPULATE, "MAP_POPULATE"),
    (libc::MAP_NONBLOCK, "MAP_NONBLOCK"),
    (libc::MAP_STACK, "MAP_STACK"),
    (libc::MAP_HUGETLB, "MAP_HUGETLB"),
    (libc::MAP_SYNC, "MAP_SYNC"),
    (libc::MAP_FIXED_NOREPLACE, "MAP_FIXED_NOREPLACE"),
];
/// With MAP_HUGETLB these bits hold the logarithm of the page size.
const HUGE_SHIFT: u32 = 26;
const HUGE_MASK: c_int = 0x3f << HUGE_SHIFT;

const REMAPPING: Names = &[
    (libc::MREMAP_MAYMOVE, "MREMAP_MAYMOVE"),
    (libc::MREMAP_FIXED, "MREMAP_FIXED"),
    (4, "MREMAP_DONTUNMAP"),
];

const ADVICE: Names = &[
    (libc::MADV_NORMAL, "MADV_NORMAL"),
    (libc::MADV_RANDOM, "MADV_RANDOM"),
    (libc::MADV_SEQUENTIAL, "MADV_SEQUENTIAL"),
    (libc::MADV_WILLNEED, "MADV_WILLNEED"),
    (libc::MADV_DONTNEED, "MADV_DONTNEED"),
    (libc::MADV_FREE, "MADV_FREE"),
    (libc::MADV_REMOVE, "MADV_REMOVE"),
    (libc::MADV_DONTFORK, "MADV_DONTFORK"),
    (libc::MADV_DOFORK, "MADV_DOFORK"),
    (libc::MADV_HWPOISON, "MADV_HWPOISON"),
    (libc::MADV_MERGEABLE, "MADV_MERGEABLE"),
    (libc::MADV_UNMERGEABLE, "MADV_UNMERGEABLE"),
    (libc::MADV_HUGEPAGE, "MADV_HUGEPAGE"),
    (libc::MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE"),
    (libc::MADV_DONTDUMP, "MADV_DONTDUMP"),
    (libc::MADV_DODUMP, "MADV_DODUMP"),
    (18, "MADV_WIPEONFORK"),
    (19, "MADV_KEEPONFORK"),
    (20, "MADV_COLD"),
    (21, "MADV_PAGEOUT"),
    (22, "MADV_POPULATE_READ"),
    (23, "MADV_POPULATE_WRITE"),
    (24, "MADV_DONTNEED_LOCKED"),
    (25, "MADV_COLLAPSE"),
    (102, "MADV_GUARD_INSTALL"),
    (103, "MADV_GUARD_REMOVE"),
];

/// mprotect's and mmap's `prot`.
pub fn protection(prot: u64) -> String {
    if prot as c_int == libc::PROT_NONE {
        return "PROT_NONE".into();
    }
    bits(prot as c_int, PROTECTIONS, "PROT_???")
}

/// mmap's `flags`.
pub fn mapping(flags: u64) -> String {
    let flags = flags as c_int;
    let sharing = flags & SHARING_MASK;
    let mut text = match SHARING.iter().find(|(value, _)| *value == sharing) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("{sharing:#x} /* MAP_??? */"),
    };
    let huge = if flags & libc::MAP_HUGETLB != 0 { flags & HUGE_MASK } else { 0 };
    let rest = flags & !SHARING_MASK & !huge;
    if rest != 0 {
        let _ = write!(text, "|{}", bits(rest, MAPPING, "MAP_???"));
    }
    if huge != 0 {
        let _ = write!(text, "|{}<<MAP_HUGE_SHIFT", huge as u32 >> HUGE_SHIFT);
    }
    text
}

/// mremap's `flags`.
pub fn remapping(flags: u64) -> String {
    if flags == 0 { "0".into() } else { bits(flags as c_int, REMAPPING, "MREMAP_???") }
}

/// madvise's `advice`: a value, not bits.
pub fn advice(advice: u64) -> String {
    match ADVICE.iter().find(|(value, _)| *value == advice as c_int) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("{:#x} /* MADV_??? */", advice as c_int),
    }
}

fn bits(value: c_int, names: Names, unknown: &str) -> String {
    let mut rest = value;
    let mut parts: Vec<String> = Vec::new();
    for (bit, name) in names {
        if rest & bit == *bit {
            parts.push((*name).to_owned());
            rest &= !bit;
        }
    }
    match (parts.is_empty(), rest) {
        (_, 0) => {}
        (true, _) => parts.push(format!("{rest:#x} /* {unknown} */")),
        (false, _) => parts.push(format!("{rest:#x}")),
    }
    parts.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protections_are_named() {
        assert_eq!(protection(0), "PROT_NONE");
        assert_eq!(protection(3), "PROT_READ|PROT_WRITE");
        assert_eq!(protection(0x83), "PROT_READ|PROT_WRITE|0x80");
        assert_eq!(protection(0x80), "0x80 /* PROT_??? */");
    }

    #[test]
    fn mapping_flags_keep_straces_order() {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        assert_eq!(mapping(flags as u64), "MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE");
        let huge = libc::MAP_SHARED | libc::MAP_HUGETLB | (21 << 26);
        assert_eq!(mapping(huge as u64), "MAP_SHARED|MAP_HUGETLB|21<<MAP_HUGE_SHIFT");
    }

    #[test]
    fn shared_validate_is_a_value_and_not_two_bits() {
        assert_eq!(mapping(3), "MAP_SHARED_VALIDATE");
    }

    #[test]
    fn advice_and_remapping_are_named() {
        assert_eq!(advice(4), "MADV_DONTNEED");
        assert_eq!(advice(23), "MADV_POPULATE_WRITE");
        assert_eq!(advice(77), "0x4d /* MADV_??? */");
        assert_eq!(remapping(0), "0");
        assert_eq!(remapping(5), "MREMAP_MAYMOVE|MREMAP_DONTUNMAP");
    }
}
