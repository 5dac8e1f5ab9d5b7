//! Instructions, counted by valgrind's callgrind: the same each time, whatever else the machine does.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use super::build;
use super::process::{Invocation, Result};
use super::profile::{Counted, Own};

/// It runs programs some fifty times slower, and some allocators never start under it: smmalloc asks for more
/// address space than valgrind has, again and again.
const LIMIT: Duration = Duration::from_secs(60);

pub fn available() -> Result<()> {
    let version = build::text(Command::new("valgrind").arg("--version").output());
    version.map(drop).ok_or_else(|| "there is no valgrind here (Debian package valgrind)".into())
}

/// Of the process and those it starts, from its first instruction to its last.
pub fn count(invocation: &Invocation) -> Result<u64> {
    let mut counted = invocation.clone();
    let options = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        "--trace-children=yes",
        "--log-fd=1",
    ];
    counted.argv.splice(0..0, options.map(Into::into));
    counted.limit = counted.limit.min(LIMIT);
    let output = counted.run()?.success()?;
    collected(&output).ok_or_else(|| "callgrind counted nothing".into())
}

/// Whose the instructions are.
pub fn profile(invocation: &Invocation, own: &Own) -> Result<Counted> {
    let folder = tempfile::tempdir().map_err(|error| format!("cannot make a folder: {error}"))?;
    let mut counted = invocation.clone();
    let mut file = OsString::from("--callgrind-out-file=");
    file.push(folder.path().join("process.%p"));
    let options = ["valgrind", "--tool=callgrind", "--trace-children=yes", "--quiet"].map(OsString::from);
    counted.argv.splice(0..0, options.into_iter().chain([file]));
    counted.limit = counted.limit.min(LIMIT);
    counted.run()?.success()?;
    let mut sum = Counted::default();
    let unreadable = |error| format!("what callgrind wrote cannot be read: {error}");
    for entry in std::fs::read_dir(folder.path()).map_err(unreadable)? {
        let bytes = std::fs::read(entry.map_err(unreadable)?.path()).map_err(unreadable)?;
        sum.add(&String::from_utf8_lossy(&bytes), own);
    }
    if sum.all == 0 { Err("callgrind counted nothing".into()) } else { Ok(sum) }
}

/// The difference of two lengths of one loop, for each round: what starts and ends a process is in both.
pub fn round(load: impl Fn(&[&str]) -> Invocation) -> Result<f64> {
    const SHORT: u64 = 20_000;
    const LONG: u64 = 120_000;
    let of = |times: u64| {
        let mut invocation = load(&["box-round", &times.to_string()]);
        invocation.limit = invocation.limit.min(Duration::from_secs(20));
        count(&invocation)
    };
    let (long, short) = (of(LONG)?, of(SHORT)?);
    Ok(long.saturating_sub(short) as f64 / (LONG - SHORT) as f64)
}

/// `==17== Collected : 123`, one for each process.
fn collected(output: &str) -> Option<u64> {
    let numbers = output.lines().filter_map(|line| {
        let rest = line.strip_prefix("==")?.split_once("== Collected : ")?.1;
        rest.trim().parse::<u64>().ok()
    });
    numbers.reduce(|sum, number| sum + number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_each_process_collected_is_summed() {
        let output = "hello\n==7== Events    : Ir\n==7== Collected : 1200\n==8== Collected : 34\n";
        assert_eq!(collected(output), Some(1234));
        assert_eq!(collected("==7== Collected : \n"), None);
    }

    #[test]
    fn a_program_has_instructions() {
        if let Err(reason) = available() {
            println!("SKIP a_program_has_instructions: {reason}");
            return;
        }
        let program = Invocation::new(Path::new("/bin/true"), &[""; 0]);
        let all = count(&program).unwrap();
        let profiled = profile(&program, &Own::of("glibc")).unwrap().all;
        assert!(all > 10_000 && all.abs_diff(profiled) < all / 50, "{all} {profiled}");
    }
}
