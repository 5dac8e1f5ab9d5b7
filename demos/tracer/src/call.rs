//! A call, as it was made and as it ended.

use std::fmt;

use nix::errno::Errno;

use crate::flags;
use crate::syscall::Syscall;

/// What a call gave back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Returned(u64),
    Failed(i32),
}

/// One finished call of one thread.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub tid: i32,
    pub syscall: Syscall,
    pub args: [u64; 6],
    pub outcome: Outcome,
    /// Where the break stood before a `brk`, when a call has shown it already.
    pub break_before: Option<u64>,
}

impl Call {
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    /// `brk` has no error return: it answers with the old break when it refuses.
    pub fn refused(&self) -> bool {
        let asked = self.args[0];
        self.syscall == Syscall::Brk
            && asked != 0
            && self.break_before != Some(asked)
            && self.outcome != Outcome::Returned(asked)
    }

    /// How far a `brk` moved the break: up is positive.
    pub fn moved(&self) -> i64 {
        match (self.syscall, self.outcome, self.break_before) {
            (Syscall::Brk, Outcome::Returned(now), Some(before)) => now.wrapping_sub(before) as i64,
            _ => 0,
        }
    }

    /// Whether this call made, or moved, the mapping that `pointer` is in.
    pub fn maps(&self, pointer: u64) -> bool {
        let length = match self.syscall {
            Syscall::Mmap => self.args[1],
            Syscall::Mremap => self.args[2],
            _ => return false,
        };
        matches!(self.outcome, Outcome::Returned(start) if (start..start.saturating_add(length)).contains(&pointer))
    }

    /// Address space without memory: a mapping nobody may touch before an mprotect opens it.
    pub fn reserves(&self) -> bool {
        self.syscall == Syscall::Mmap && self.args[2] as i32 == libc::PROT_NONE && !self.failed()
    }

    /// Whether pages went back to the kernel (madvise(2)); other advice keeps them.
    pub fn returns_pages(&self) -> bool {
        /// Linux 5.18; not in every libc's headers.
        const MADV_DONTNEED_LOCKED: i32 = 24;
        let advice = self.args[2] as i32;
        self.syscall == Syscall::Madvise
            && [libc::MADV_DONTNEED, libc::MADV_FREE, libc::MADV_REMOVE, MADV_DONTNEED_LOCKED]
                .contains(&advice)
            && !self.failed()
    }

    /// Whether pages can no longer be touched.
    pub fn closes_pages(&self) -> bool {
        self.syscall == Syscall::Mprotect && self.args[2] as i32 == libc::PROT_NONE && !self.failed()
    }

    /// The bytes of memory a call got, moved, advised on or gave back; 0 when it failed.
    pub fn bytes(&self) -> u64 {
        match (self.outcome, self.syscall) {
            (Outcome::Failed(_), _) => 0,
            (_, Syscall::Brk) => self.moved().unsigned_abs(),
            (_, Syscall::Mremap) => self.args[2],
            (_, call) if Syscall::MEMORY.contains(&call) => self.args[1],
            _ => 0,
        }
    }

    /// The bytes it copied between user space and the kernel.
    pub fn copied(&self) -> u64 {
        match (self.outcome, self.syscall) {
            // It answers 0; its third argument is the length.
            (Outcome::Returned(0), Syscall::MqSend) => self.args[2],
            (Outcome::Returned(moved), call) if Syscall::COPYING.contains(&call) => moved,
            _ => 0,
        }
    }

    /// The arguments, each as strace would print it.
    pub fn arguments(&self) -> Vec<String> {
        let [first, length, third, fourth, fifth, sixth] = self.args;
        let mut shown = vec![pointer(first)];
        match self.syscall {
            Syscall::Brk => {}
            Syscall::Munmap => shown.push(length.to_string()),
            Syscall::Mmap => shown.extend([
                length.to_string(),
                flags::protection(third),
                flags::mapping(fourth),
                (fifth as i32).to_string(),
                if sixth == 0 { "0".into() } else { format!("{sixth:#x}") },
            ]),
            Syscall::Mremap => {
                shown.extend([length.to_string(), third.to_string(), flags::remapping(fourth)]);
                if fourth as i32 & libc::MREMAP_FIXED != 0 {
                    shown.push(pointer(fifth));
                }
            }
            Syscall::Madvise => shown.extend([length.to_string(), flags::advice(third)]),
            Syscall::Mprotect => shown.extend([length.to_string(), flags::protection(third)]),
            _ => shown.extend(self.args[1..].iter().map(|word| format!("{word:#x}"))),
        }
        shown
    }

    /// The result, as strace would print it.
    pub fn result(&self) -> String {
        match self.outcome {
            Outcome::Returned(0) => "0".into(),
            Outcome::Returned(value) => format!("{value:#x}"),
            Outcome::Failed(code) => {
                let errno = Errno::from_raw(code);
                format!("-1 {errno:?} ({})", errno.desc())
            }
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}) = {}", self.syscall, self.arguments().join(", "), self.result())
    }
}

fn pointer(address: u64) -> String {
    if address == 0 { "NULL".into() } else { format!("{address:#x}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(syscall: Syscall, args: [u64; 6], outcome: Outcome) -> Call {
        Call { tid: 1, syscall, args, outcome, break_before: None }
    }

    #[test]
    fn an_anonymous_mapping_reads_as_in_strace() {
        let args = [0, 8192, 3, 0x22, u64::MAX, 0];
        let shown = call(Syscall::Mmap, args, Outcome::Returned(0x7f00_0000_0000)).to_string();
        let expected =
            "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_file_mapping_shows_descriptor_and_offset() {
        let args = [0x7f00_0000_0000, 4096, 1, 0x812, 3, 0x26000];
        let shown = call(Syscall::Mmap, args, Outcome::Returned(0x7f00_0000_0000)).to_string();
        assert!(shown.contains("MAP_PRIVATE|MAP_FIXED|MAP_DENYWRITE, 3, 0x26000)"), "{shown}");
    }

    #[test]
    fn failures_name_the_error_and_carry_no_bytes() {
        let failed = call(Syscall::Munmap, [1, 4096, 0, 0, 0, 0], Outcome::Failed(libc::EINVAL));
        assert_eq!(failed.to_string(), "munmap(0x1, 4096) = -1 EINVAL (Invalid argument)");
        assert_eq!(failed.bytes(), 0);
    }

    #[test]
    fn mremap_shows_its_fifth_argument_only_when_it_has_one() {
        let args = [0x1000, 4096, 8192, 1, 0xdead_0000, 0];
        let moved = call(Syscall::Mremap, args, Outcome::Returned(0x2000));
        assert_eq!(moved.to_string(), "mremap(0x1000, 4096, 8192, MREMAP_MAYMOVE) = 0x2000");
        let fixed = call(Syscall::Mremap, [0x1000, 4096, 8192, 3, 0x5000, 0], Outcome::Returned(0x5000));
        assert!(fixed.to_string().contains("MREMAP_MAYMOVE|MREMAP_FIXED, 0x5000)"));
        assert_eq!(fixed.bytes(), 8192);
    }

    #[test]
    fn the_break_moves_by_the_difference_and_a_refusal_is_seen() {
        let brk = |asked: u64, now: u64| Call {
            break_before: Some(0x1000),
            ..call(Syscall::Brk, [asked, 0, 0, 0, 0, 0], Outcome::Returned(now))
        };
        assert_eq!(brk(0, 0x1000).moved(), 0);
        assert_eq!(brk(0x3000, 0x3000).moved(), 0x2000);
        assert_eq!(brk(0x800, 0x800).moved(), -0x800);
        assert_eq!(brk(0x800, 0x800).bytes(), 0x800);
        assert!(brk(0x9000, 0x1000).refused());
        assert!(!brk(0, 0x1000).refused());
        assert!(!brk(0x3000, 0x3000).refused());
    }

    #[test]
    fn a_mapping_is_told_from_a_reservation_and_knows_its_pointers() {
        let mapping =
            |prot| call(Syscall::Mmap, [0, 8192, prot, 0x22, u64::MAX, 0], Outcome::Returned(0x7000));
        assert!(mapping(0).reserves() && !mapping(3).reserves());
        assert!(mapping(3).maps(0x7000) && mapping(3).maps(0x8fff) && !mapping(3).maps(0x9000));
        let moved = call(Syscall::Mremap, [0x1000, 4096, 8192, 1, 0, 0], Outcome::Returned(0x20000));
        assert!(moved.maps(0x21fff) && !moved.maps(0x1000));
    }

    #[test]
    fn what_a_call_copies_is_its_result_or_its_length() {
        let read = call(Syscall::Read, [3, 0x1000, 4096, 0, 0, 0], Outcome::Returned(100));
        assert_eq!((read.copied(), read.bytes()), (100, 0));
        assert_eq!(call(Syscall::MqSend, [3, 0x1000, 77, 0, 0, 0], Outcome::Returned(0)).copied(), 77);
        let failed = Outcome::Failed(libc::EAGAIN);
        assert_eq!(call(Syscall::MqSend, [3, 0x1000, 77, 0, 0, 0], failed).copied(), 0);
        assert_eq!(call(Syscall::Lseek, [3, 500, 0, 0, 0, 0], Outcome::Returned(500)).copied(), 0);
    }
}
