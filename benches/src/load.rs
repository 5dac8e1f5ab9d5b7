//! The program that is measured: one workload, then one line that says what came of it.
//!
//! ```text
//!   run WORKLOAD SCALE THREADS [settle]   a workload; with `settle`, a second of rest after it
//!   growth LIVE                           cost of one replacement among LIVE blocks
//!   wide BLOCKS VISITS LIMIT_MIB         the same in a heap of BLOCKS sparse blocks
//!   box-round TIMES                       the loop whose instructions are counted
//!   calibrate                             what a page fault, a memory call, a cleared byte cost here
//!   clear BYTES TIMES, copy BYTES TIMES   a loop whose instructions are counted
//!   hello                                 the least a program needs
//!   whose-malloc                          the file that libc's malloc comes from
//!   allocator                             the name of the allocator that is linked in
//! ```

use std::ffi::CStr;
use std::process::ExitCode;
use std::time::Duration;

use brkmap_witness::memory;

use crate::workloads::{self, Plan};

pub mod calibrate;
pub mod growth;
pub mod line;
pub mod round;
mod visits;
pub mod wide;

use line::Line;

const USAGE: &str = "usage: load-NAME run WORKLOAD SCALE THREADS [settle] | growth LIVE | \
                     wide BLOCKS VISITS LIMIT_MIB | box-round TIMES | calibrate | clear BYTES TIMES | \
                     copy BYTES TIMES | hello | whose-malloc | allocator";

/// `allocator` is the name of the one that the program has.
pub fn main(allocator: &str) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match perform(&words, allocator) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::from(2)
        }
    }
}

fn perform(words: &[&str], allocator: &str) -> Result<Line, String> {
    match words {
        ["run", name, scale, threads, rest @ ..] => {
            let settle = match rest {
                [] => false,
                ["settle"] => true,
                other => return Err(format!("{other:?}: only `settle` may follow\n{USAGE}")),
            };
            run(name, Plan { scale: number(scale)?, threads: number(threads)? }, settle)
        }
        ["growth", live] => Ok(growth::measure(number(live)?)),
        ["wide", blocks, visits, limit] => wide::measure(number(blocks)?, number(visits)?, number(limit)?),
        ["box-round", times] => Ok(Line::default().with("checksum", round::boxes(number(times)?))),
        ["calibrate"] => Ok(calibrate::measure()),
        ["clear", bytes, times] => {
            Ok(Line::default().with("checksum", round::clear(number(bytes)?, number(times)?)))
        }
        ["copy", bytes, times] => {
            Ok(Line::default().with("checksum", round::copy(number(bytes)?, number(times)?)))
        }
        ["hello"] => {
            println!("hello, world");
            Ok(Line::default().with("rss_kib", kib(memory::resident())))
        }
        ["whose-malloc"] => Ok(Line::text(whose_malloc())),
        ["allocator"] => Ok(Line::text(allocator.into())),
        _ => Err(USAGE.into()),
    }
}

fn run(name: &str, plan: Plan, settle: bool) -> Result<Line, String> {
    let workload = workloads::find(name).ok_or_else(|| {
        let names: Vec<_> = workloads::ALL.iter().map(|workload| workload.name).collect();
        format!("no workload `{name}`; there are: {}", names.join(", "))
    })?;
    let checksum = (workload.run)(plan);
    let mut line = Line::default().with("checksum", checksum).with("peak_kib", kib(memory::peak()));
    if settle {
        std::thread::sleep(Duration::from_secs(1));
        line = line.with("idle_kib", kib(memory::resident()));
    }
    Ok(line)
}

/// Whole KiB, the kernel's own unit.
pub fn kib(bytes: usize) -> u64 {
    bytes as u64 >> 10
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is no whole number that fits\n{USAGE}"))
}

/// The loader only warns when it cannot preload a library, and libc would be measured in its name.
fn whose_malloc() -> String {
    // SAFETY: an all-zero Dl_info is a value: null pointers.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: dladdr takes any address, and writes to the structure given.
    let found = unsafe { libc::dladdr(libc::malloc as *const libc::c_void, &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return "unknown".into();
    }
    // SAFETY: after a success that is not null it is the loader's own C string for a loaded file.
    unsafe { CStr::from_ptr(info.dli_fname) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_run_is_said_with_what_can() {
        let complaint = |words: &[&str]| perform(words, "brkmap").unwrap_err();
        assert!(complaint(&[]).starts_with("usage"));
        assert!(complaint(&["run", "nonsense", "1", "1"]).contains("pairs"));
        assert!(complaint(&["run", "pairs", "1", "-1"]).contains("`-1`"));
        assert!(complaint(&["run", "pairs", "1", "1", "soon"]).contains("settle"));
    }

    #[test]
    fn malloc_has_an_owner() {
        assert_ne!(whose_malloc(), "unknown");
    }
}
