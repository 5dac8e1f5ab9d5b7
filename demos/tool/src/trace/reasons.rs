//! Why brkmap makes its memory calls, as it says itself: its log comes to a file of ours.
//!
//! ```text
//!   the program   call ──▶ a line to descriptor N, in one write          BRKMAP_LOG=N
//!   we            the call's end, held ──▶ the write's end: read the line ──▶ both are told together
//! ```
//!
//! A program that is not on brkmap never reads the variable, and nothing comes.

use std::fs::File;
use std::os::fd::RawFd;
use std::os::unix::fs::FileExt;

use brkmap_tracer::{Call, Filter, Outcome, Program, Syscall};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit};

/// Where brkmap reads that there is to be a log.
const VARIABLE: &str = "BRKMAP_LOG";

/// A number that programs seldom use themselves.
const HIGHEST: u64 = 1000;

/// What is in the log, and how far it was read.
pub struct Reasons {
    file: File,
    read: u64,
    /// The beginning of a line whose rest was not there yet.
    part: String,
}

/// Why a call was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub tid: i32,
    call: String,
    bytes: u64,
    address: u64,
    failed: bool,
    pub word: String,
    /// Whose request or free it was for: a class, a medium block, a span, a large block …
    pub cause: String,
    /// The bytes of a block of that, where there is such a thing.
    pub cause_bytes: Option<u64>,
}

impl Reasons {
    /// Has brkmap log to us in the program, and what starts it stop at the writes too. None where the user has a log
    /// of their own, or there is no room for one more file: the calls are shown without reasons then.
    pub fn of(program: &mut Program) -> Option<(Reasons, Filter)> {
        let set = |name: &str, logs: &dyn Fn(&str) -> bool| {
            let mut all = program.environment.iter();
            all.any(|(variable, value)| variable == name && logs(&value.to_string_lossy()))
        };
        if set(VARIABLE, &|_| true)
            || set("BRKMAP_CONF", &|conf| conf.split(',').any(|entry| entry.trim().starts_with("log")))
        {
            return None;
        }
        let (most, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        let number = RawFd::try_from(most.min(HIGHEST).checked_sub(1)?).ok()?;
        let file = File::from(memfd_create("brkmap-log", MFdFlags::MFD_CLOEXEC).ok()?);
        fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND)).ok()?;
        program.passed = Some((file.try_clone().ok()?, number));
        program.set(VARIABLE, number.to_string());
        Some((Reasons { file, read: 0, part: String::new() }, Filter::memory_calls_and_writes_to(number)))
    }

    /// The lines that came since.
    pub fn new_ones(&mut self) -> Vec<Reason> {
        let mut bytes = [0; 4096];
        while let Ok(some @ 1..) = self.file.read_at(&mut bytes, self.read) {
            self.read += some as u64;
            self.part += &String::from_utf8_lossy(&bytes[..some]);
        }
        let whole = self.part.rfind('\n').map_or(0, |end| end + 1);
        let rest = self.part.split_off(whole);
        std::mem::replace(&mut self.part, rest).lines().filter_map(Reason::parse).collect()
    }
}

impl Reason {
    /// `brkmap PID/TID call bytes address outcome reason cause [bytes]`
    fn parse(line: &str) -> Option<Reason> {
        let words: Vec<_> = line.split(' ').collect();
        let ["brkmap", who, call, bytes, address, outcome, word, cause, ref more @ ..] = words[..] else {
            return None;
        };
        Some(Reason {
            tid: who.split_once('/')?.1.parse().ok()?,
            call: call.to_owned(),
            bytes: bytes.parse().ok()?,
            address: u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?,
            failed: outcome != "ok",
            word: word.to_owned(),
            cause: cause.to_owned(),
            cause_bytes: more.first().and_then(|bytes| bytes.parse().ok()),
        })
    }

    /// Whether it is that of the call.
    pub fn is_of(&self, call: &Call) -> bool {
        let [first, length, new_length, ..] = call.args;
        let gave = match call.outcome {
            Outcome::Returned(value) => Some(value),
            Outcome::Failed(_) => None,
        };
        let same = self.tid == call.tid && call.syscall.name() == Some(&self.call);
        // A break that did not move has no error of its own.
        same && match call.syscall {
            Syscall::Brk => (first == 0) == (self.word == "look"),
            _ if self.failed != gave.is_none() => false,
            Syscall::Mmap => length == self.bytes && gave.is_none_or(|at| at == self.address),
            Syscall::Mremap => new_length == self.bytes && gave.is_none_or(|at| at == self.address),
            _ => first == self.address && length == self.bytes,
        }
    }

    /// As it stands beside a call.
    pub fn shown(&self) -> String {
        let cause = match self.cause_bytes {
            Some(bytes) => format!("{} {bytes}", self.cause),
            None => self.cause.clone(),
        };
        if cause == self.word { cause } else { format!("{}, {cause}", self.word) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_from_those_of_other_calls() {
        let reason = Reason::parse("brkmap 10/11 mmap 8192 0x7f00 ok grow class 64").unwrap();
        let call = |tid, syscall, args, outcome| Call { tid, syscall, args, outcome, break_before: None };
        let mapped =
            |tid, length| call(tid, Syscall::Mmap, [0, length, 3, 0x22, 0, 0], Outcome::Returned(0x7f00));
        assert!(reason.is_of(&mapped(11, 8192)));
        assert!(!reason.is_of(&mapped(10, 8192)) && !reason.is_of(&mapped(11, 4096)));
        assert!(!reason.is_of(&call(11, Syscall::Mmap, [0, 8192, 3, 0x22, 0, 0], Outcome::Failed(12))));
        assert!(!reason.is_of(&call(11, Syscall::Munmap, [0x7f00, 8192, 0, 0, 0, 0], Outcome::Returned(0))));
        assert_eq!(reason.shown(), "grow, class 64");
        let chunk = Reason::parse("brkmap 10/11 brk 1048576 0x1000 ok chunk medium 98304").unwrap();
        assert_eq!(chunk.shown(), "chunk, medium 98304");
        let look = Reason::parse("brkmap 10/11 brk 0 0x1000 ok look process").unwrap();
        let asked = |at| call(11, Syscall::Brk, [at, 0, 0, 0, 0, 0], Outcome::Returned(0x1000));
        assert!(look.is_of(&asked(0)) && !look.is_of(&asked(0x1000)));
        let large = Reason::parse("brkmap 10/11 munmap 8192 0x7f00 ENOMEM large large").unwrap();
        assert_eq!(large.shown(), "large");
        assert!(large.is_of(&call(11, Syscall::Munmap, [0x7f00, 8192, 0, 0, 0, 0], Outcome::Failed(12))));
        for wrong in ["", "brkmap", "brkmap 1/2 mmap 1 2 ok grow class", "what else is written"] {
            assert_eq!(Reason::parse(wrong), None);
        }
    }
}
