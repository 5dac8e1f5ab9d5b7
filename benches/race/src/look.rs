//! A run that is watched, and not timed: what it asks of the kernel, and what its memory is like at its end.
//!
//! An unprivileged process learns of others' faults only how many there were. What it can see besides is the memory of
//! a program that is about to end: how much of it is on huge pages, and how many pages of files it has copies of (each
//! was copied by a write: a COW fault). Copies that a fork makes leave no trace that could be seen.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use brkmap_base::error::{Error, Result};
use brkmap_tracer::{Call, End, Event, Filter, Last, Program, Syscall, Tracer};
use serde::{Deserialize, Serialize};

use crate::process::{Invocation, contents};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The memory calls by name, and msync, of the program and all it started; the loader's too. Those that failed are
    /// apart, see [`REFUSED`].
    pub calls: BTreeMap<String, u64>,
    /// The most that was resident in one of its processes.
    pub peak_kib: u64,
    /// Resident in the program itself when it had done all it does: what it, and its allocator, never gave back.
    pub end_kib: u64,
    /// Of that on huge pages.
    pub huge_kib: u64,
    /// Pages of files that its processes had copies of at their ends.
    pub copied_pages: u64,
    /// Something of it read its standard input.
    pub reads_input: bool,
    /// The library that was to be preloaded was in the program.
    pub loaded: bool,
}

/// Runs it; an error if it cannot be run or watched. Beside it, why it did not end well.
pub fn at(invocation: &Invocation) -> Result<(Look, Option<String>)> {
    let file = || tempfile::tempfile().map_err(Error::during("cannot make a temporary file"));
    let mut program = Program::new(invocation.argv.clone());
    program.remove("LD_PRELOAD");
    for (name, value) in &invocation.environment {
        program.set(name, value.clone());
    }
    if let Some(library) = &invocation.preload {
        program.set("LD_PRELOAD", library);
    }
    let errors = file()?;
    let input = invocation.opened_input().map_err(Error::Failed)?;
    let nothing = || File::open("/dev/null").map_err(Error::during("cannot open /dev/null"));
    program.stdin = Some(input.map_or_else(nothing, Ok)?);
    program.stdout = Some(file()?);
    program.stderr = Some(errors.try_clone().map_err(Error::during("cannot copy a descriptor"))?);
    program.last = Last::Told;
    let tracer = Tracer::start(&program, &Filter::memory_calls_and(&[Syscall::Msync, Syscall::Read]))?;
    let root = tracer.pids()[0];
    let mut look = Look::default();
    let ends = tracer.run(|event| match event {
        Event::Call(call) if call.syscall == Syscall::Read => look.reads_input |= call.args[0] == 0,
        Event::Call(call) => *look.calls.entry(name(call)).or_default() += 1,
        Event::Ends { tid } => look.end_of(tid, root, invocation.preload.as_deref()),
        Event::Mark { .. } | Event::Executed { .. } => {}
    })?;
    let failure = match ends[0] {
        End::Exited(0) => None,
        End::Exited(code) => Some(crate::process::ended(code << 8, &contents(errors))),
        End::Killed(signal) => Some(crate::process::ended(signal, &contents(errors))),
    };
    Ok((look, failure))
}

/// What ends the name of a call that the kernel did not do.
pub const REFUSED: &str = " refused";

fn name(call: &Call) -> String {
    let refused = if call.failed() || call.refused() { REFUSED } else { "" };
    format!("{}{refused}", call.syscall)
}

impl Look {
    /// A thread ends. The first one of a process stands for it: it ends with the others, but where it left before.
    fn end_of(&mut self, tid: i32, root: i32, library: Option<&Path>) {
        let text = |file: &str| std::fs::read_to_string(format!("/proc/{tid}/{file}")).unwrap_or_default();
        let status = text("status");
        if number(&status, "Tgid:") != Some(tid as u64) {
            return;
        }
        let areas = Areas::of(&text("smaps"), library);
        self.peak_kib = self.peak_kib.max(number(&status, "VmHWM:").unwrap_or(0));
        self.copied_pages += areas.copied_kib * 1024 / brkmap_witness::page_size() as u64;
        if tid == root {
            (self.end_kib, self.huge_kib) = (areas.resident_kib, areas.huge_kib);
            self.loaded = library.is_none() || areas.has_library;
        }
    }
}

/// The sums over /proc/PID/smaps that count here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Areas {
    resident_kib: u64,
    huge_kib: u64,
    copied_kib: u64,
    has_library: bool,
}

impl Areas {
    fn of(smaps: &str, library: Option<&Path>) -> Areas {
        let mut areas = Areas::default();
        let mut of_a_private_file = false;
        for line in smaps.lines() {
            let field = |name| number(line, name);
            if let Some(path) = line.find('/').map(|at| &line[at..]) {
                of_a_private_file = line.split(' ').nth(1).is_some_and(|rights| rights.ends_with('p'));
                areas.has_library |= library.is_some_and(|library| library.as_os_str() == path);
            } else if line.split(' ').next().is_some_and(|first| first.contains('-')) {
                of_a_private_file = false;
            } else if let Some(kib) = field("Rss:") {
                areas.resident_kib += kib;
            } else if let Some(kib) = field("AnonHugePages:") {
                areas.huge_kib += kib;
            } else if let Some(kib) = field("Anonymous:").filter(|_| of_a_private_file) {
                areas.copied_kib += kib;
            }
        }
        areas
    }
}

/// A field of /proc/PID/status, and of an area.
fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use brkmap_tracer::Outcome;

    use super::*;

    const SMAPS: &str = "\
7f0000000000-7f0000004000 rw-p 00000000 fe:00 1                 /usr/lib/a-b.so
Rss:                  12 kB
Anonymous:             8 kB
AnonHugePages:         0 kB
7f0000200000-7f0000600000 rw-p 00000000 00:00 0
Rss:                4096 kB
Anonymous:          4096 kB
AnonHugePages:      2048 kB
VmFlags: rd wr mr mw me ac
";

    #[test]
    fn copies_are_those_of_files_and_huge_pages_those_of_all() {
        let areas = Areas::of(SMAPS, Some(Path::new("/usr/lib/a-b.so")));
        assert_eq!(areas, Areas { resident_kib: 4108, huge_kib: 2048, copied_kib: 8, has_library: true });
        assert!(!Areas::of(SMAPS, Some(Path::new("/usr/lib/b.so"))).has_library);
    }

    fn watched(script: &str, input: Option<&Path>) -> Option<(Look, Option<String>)> {
        let mut invocation = Invocation::new(Path::new("/bin/sh"), &["-c", script]);
        invocation.input = input.map(Path::to_owned);
        match at(&invocation) {
            Ok(seen) => Some(seen),
            Err(reason) => {
                println!("SKIP: {reason}");
                None
            }
        }
    }

    #[test]
    fn a_program_is_seen_at_its_end() {
        let Some((look, failure)) = watched("/bin/true; exit 0", None) else { return };
        assert_eq!(failure, None);
        assert!(look.calls["mmap"] > 0 && look.loaded && !look.reads_input, "{look:?}");
        assert!(look.peak_kib >= look.end_kib && look.end_kib > 100 && look.copied_pages > 0, "{look:?}");
    }

    #[test]
    fn who_reads_its_input_is_found_out_and_gets_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "word\n").unwrap();
        let script = "read x; test \"$x\" = word || exit 9";
        let Some((look, failure)) = watched(script, Some(file.path())) else { return };
        assert!(look.reads_input && failure.is_none(), "{failure:?}");
        let (look, failure) = watched(script, None).expect("it could be watched before");
        assert!(look.reads_input && failure.as_deref() == Some("exit code 9"), "{failure:?}");
    }

    #[test]
    fn a_call_that_was_refused_is_another() {
        let call = |outcome| Call {
            tid: 1,
            syscall: Syscall::Mmap,
            args: [0, 4096, 3, 0x22, u64::MAX, 0],
            outcome,
            break_before: None,
        };
        assert_eq!(name(&call(Outcome::Returned(0x7000))), "mmap");
        assert_eq!(name(&call(Outcome::Failed(libc::ENOMEM))), "mmap refused");
    }

    #[test]
    fn who_dies_says_how() {
        let Some((_, failure)) = watched("echo alas >&2; kill -SEGV $$", None) else { return };
        assert_eq!(failure.as_deref(), Some("killed by signal 11: alas"));
    }
}
