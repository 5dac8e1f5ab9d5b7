//! One process, from its start to its end, and what the kernel says it used.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::load::line::Line;
use crate::results::Sample;

/// Nothing measured here takes a tenth of it; a hang must not hang the matrix.
const LIMIT: Duration = Duration::from_secs(120);

/// What the reason begins with when a process was ended by us.
pub const HUNG: &str = "not done";

pub type Result<T> = std::result::Result<T, String>;

#[derive(Clone, Debug)]
pub struct Invocation {
    pub argv: Vec<OsString>,
    pub environment: Vec<(String, OsString)>,
    pub preload: Option<PathBuf>,
    pub limit: Duration,
}

pub struct Outcome {
    pub sample: Sample,
    pub output: String,
    failure: Option<String>,
}

impl Invocation {
    pub fn new(program: &Path, arguments: &[impl AsRef<OsStr>]) -> Invocation {
        let mut argv = vec![program.as_os_str().to_owned()];
        argv.extend(arguments.iter().map(|argument| argument.as_ref().to_owned()));
        Invocation { argv, environment: Vec::new(), preload: None, limit: LIMIT }
    }

    pub fn run(&self) -> Result<Outcome> {
        // To files: a pipe that nobody empties would stop the program.
        let file = || tempfile::tempfile().map_err(|error| format!("cannot make a temporary file: {error}"));
        let (output, errors) = (file()?, file()?);
        let copy =
            |file: &File| file.try_clone().map_err(|error| format!("cannot copy a descriptor: {error}"));
        let mut command = Command::new(&self.argv[0]);
        command.args(&self.argv[1..]).stdin(Stdio::null()).stdout(copy(&output)?).stderr(copy(&errors)?);
        command.env_remove("LD_PRELOAD").envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(library) = &self.preload {
            command.env("LD_PRELOAD", library);
        }
        // A group of its own, so that what it started ends with it.
        command.process_group(0);
        let began = Instant::now();
        let child =
            command.spawn().map_err(|error| format!("{} cannot be run: {error}", self.argv[0].display()))?;
        let pid = Pid::from_child(&child);
        let in_time = wait_until_ended(pid, self.limit)?;
        let wall = began.elapsed();
        if !in_time {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let (status, usage) = reap(pid)?;
        let output = contents(output);
        let failure = match (in_time, status) {
            (false, _) => Some(format!("{HUNG} after {} s", self.limit.as_secs())),
            (true, 0) => None,
            (true, status) => Some(ended(status, &contents(errors))),
        };
        let own_peak = Line::parse(&output).and_then(|line| line.get("peak_kib"));
        let sample = Sample {
            user_ms: milliseconds(usage.ru_utime),
            system_ms: milliseconds(usage.ru_stime),
            wall_ms: wall.as_secs_f64() * 1e3,
            // The kernel's peak begins with that of this process, which forked it.
            peak_kib: own_peak.unwrap_or(usage.ru_maxrss as u64),
            minor_faults: usage.ru_minflt as u64,
        };
        Ok(Outcome { sample, output, failure })
    }
}

impl Outcome {
    /// What it printed, if it ended well.
    pub fn success(self) -> Result<String> {
        self.failure.map_or(Ok(self.output), Err)
    }

    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}

/// False when it still runs after `limit`.
fn wait_until_ended(pid: Pid, limit: Duration) -> Result<bool> {
    let descriptor =
        pidfd_open(pid, PidfdFlags::empty()).map_err(|error| format!("cannot watch a process: {error}"))?;
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|error| format!("no such time: {error}"))?;
        match poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("cannot wait for a process: {error}")),
        }
    }
}

/// The raw status, and what the process and all it waited for used.
fn reap(pid: Pid) -> Result<(i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: wait4 writes to the two places given; the child is ours and nobody else waits for it.
    let reaped = unsafe { libc::wait4(pid.as_raw_nonzero().get(), &raw mut status, 0, &raw mut usage) };
    if reaped < 0 {
        return Err(format!("cannot wait for a process: {}", std::io::Error::last_os_error()));
    }
    Ok((status, usage))
}

fn ended(status: i32, errors: &str) -> String {
    let how = if libc::WIFSIGNALED(status) {
        format!("killed by signal {}", libc::WTERMSIG(status))
    } else {
        format!("exit code {}", libc::WEXITSTATUS(status))
    };
    match errors.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(last) => format!("{how}: {last}"),
        None => how,
    }
}

fn milliseconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3
}

fn contents(mut file: File) -> String {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    read.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Invocation {
        Invocation::new(Path::new("/bin/sh"), &["-c", script])
    }

    #[test]
    fn a_process_is_told_by_its_output_and_its_use() {
        let outcome = shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done").run().unwrap();
        assert!(
            outcome.sample.user_ms > 0.0 && outcome.sample.wall_ms > 0.0 && outcome.sample.minor_faults > 0
        );
        assert_eq!(outcome.success().as_deref(), Ok("done\n"));
    }

    #[test]
    fn a_load_tells_its_own_peak() {
        let outcome = shell("echo checksum=1 peak_kib=77").run().unwrap();
        assert_eq!(outcome.sample.peak_kib, 77);
    }

    #[test]
    fn failures_say_how_and_why() {
        let failure = |script| shell(script).run().unwrap().success().unwrap_err();
        assert_eq!(failure("echo no >&2; exit 3"), "exit code 3: no");
        assert_eq!(failure("kill -SEGV $$"), "killed by signal 11");
        assert!(Invocation::new(Path::new("/no/such/program"), &[""; 0]).run().is_err());
    }

    #[test]
    fn what_hangs_is_ended() {
        let mut hanging = shell("sleep 60");
        hanging.limit = Duration::from_millis(50);
        assert!(hanging.run().unwrap().failure().unwrap().contains("not done"));
    }
}
