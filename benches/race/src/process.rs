//! One process, from its start to its end, and what the kernel says it used.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};

use crate::sample::Sample;

/// No program of the matrix takes a tenth of it; a hang must not hang the matrix.
const LIMIT: Duration = Duration::from_secs(120);

/// What the reason begins with when a process was ended by us.
pub const HUNG: &str = "not done";

pub type Result<T> = std::result::Result<T, String>;

/// Whom a key on the terminal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// A group of its own, so that what it started ends with it.
    Own,
    /// Ours: a key that ends us ends it too.
    Ours,
}

#[derive(Clone, Debug)]
pub struct Invocation {
    pub argv: Vec<OsString>,
    pub environment: Vec<(String, OsString)>,
    pub preload: Option<PathBuf>,
    /// What it reads; nothing by default.
    pub input: Option<PathBuf>,
    pub group: Group,
    pub limit: Duration,
}

/// A run that is over.
pub struct Outcome {
    pub sample: Sample,
    output: File,
    failure: Option<String>,
}

impl Invocation {
    pub fn new(program: &Path, arguments: &[impl AsRef<OsStr>]) -> Invocation {
        let mut argv = vec![program.as_os_str().to_owned()];
        argv.extend(arguments.iter().map(|argument| argument.as_ref().to_owned()));
        Invocation {
            argv,
            environment: Vec::new(),
            preload: None,
            input: None,
            group: Group::Own,
            limit: LIMIT,
        }
    }

    pub fn run(&self) -> Result<Outcome> {
        // To files: a pipe that nobody empties would stop the program.
        let file = || tempfile::tempfile().map_err(|error| format!("cannot make a temporary file: {error}"));
        let (output, errors) = (file()?, file()?);
        let copy =
            |file: &File| file.try_clone().map_err(|error| format!("cannot copy a descriptor: {error}"));
        let mut command = Command::new(&self.argv[0]);
        let input = self.opened_input()?.map_or_else(Stdio::null, Stdio::from);
        command.args(&self.argv[1..]).stdin(input).stdout(copy(&output)?).stderr(copy(&errors)?);
        command.env_remove("LD_PRELOAD").envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(library) = &self.preload {
            command.env("LD_PRELOAD", library);
        }
        if self.group == Group::Own {
            command.process_group(0);
        }
        let huge_before = huge_faults();
        let began = Instant::now();
        let child =
            command.spawn().map_err(|error| format!("{} cannot be run: {error}", self.argv[0].display()))?;
        let pid = Pid::from_child(&child);
        let in_time = wait_until_ended(pid, self.limit)?;
        let wall = began.elapsed();
        if !in_time {
            let _ = match self.group {
                Group::Own => kill_process_group(pid, Signal::KILL),
                Group::Ours => kill_process(pid, Signal::KILL),
            };
        }
        let (status, usage) = reap(pid)?;
        let failure = match (in_time, status) {
            (false, _) => Some(format!("{HUNG} after {} s", self.limit.as_secs())),
            (true, 0) => None,
            (true, status) => Some(ended(status, &contents(errors))),
        };
        let sample = Sample {
            user_ms: milliseconds(usage.ru_utime),
            system_ms: milliseconds(usage.ru_stime),
            wall_ms: wall.as_secs_f64() * 1e3,
            // It begins with that of this process, which forked it.
            peak_kib: usage.ru_maxrss as u64,
            minor_faults: usage.ru_minflt as u64,
            major_faults: usage.ru_majflt as u64,
            huge_faults: huge_faults().saturating_sub(huge_before),
        };
        Ok(Outcome { sample, output, failure })
    }
}

impl Invocation {
    /// From its beginning, for each run anew.
    pub(crate) fn opened_input(&self) -> Result<Option<File>> {
        let open = |path: &PathBuf| {
            File::open(path)
                .map_err(|error| format!("its input {} cannot be opened: {error}", path.display()))
        };
        self.input.as_ref().map(open).transpose()
    }
}

impl Outcome {
    /// What it printed, if it ended well.
    pub fn success(self) -> Result<String> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(contents(self.output)),
        }
    }

    /// A number that what it printed has if and only if it printed the same.
    pub fn fingerprint(&mut self) -> Result<u64> {
        let mut hasher = DefaultHasher::new();
        let mut piece = [0; 1 << 16];
        let unreadable = |error| format!("its output cannot be read: {error}");
        self.output.rewind().map_err(unreadable)?;
        loop {
            match self.output.read(&mut piece).map_err(unreadable)? {
                0 => return Ok(hasher.finish()),
                // Not `hash`, which takes the length of each piece in.
                length => hasher.write(&piece[..length]),
            }
        }
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

/// Huge pages that were faulted in since the machine started, by whomever; 0 where the kernel has none.
fn huge_faults() -> u64 {
    let text = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let count = text.lines().find_map(|line| line.strip_prefix("thp_fault_alloc "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// How a process ended that did not end well: with code or signal, and its last words.
pub(crate) fn ended(status: i32, errors: &str) -> String {
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

pub(crate) fn contents(mut file: File) -> String {
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
    fn each_run_reads_its_input_from_the_beginning_and_nothing_where_there_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a line\n").unwrap();
        let mut cat = Invocation::new(Path::new("/bin/cat"), &[""; 0]);
        assert_eq!(cat.run().unwrap().success().as_deref(), Ok(""));
        cat.input = Some(file.path().to_owned());
        for _ in 0..2 {
            assert_eq!(cat.run().unwrap().success().as_deref(), Ok("a line\n"));
        }
        cat.input = Some("/no/such/input".into());
        assert!(cat.run().err().unwrap().contains("/no/such/input"));
    }

    #[test]
    fn outputs_have_the_same_fingerprint_if_they_are_the_same() {
        let of = |script| shell(script).run().unwrap().fingerprint().unwrap();
        assert_eq!(of("echo a"), of("printf 'a\\n'"));
        assert_ne!(of("echo a"), of("echo b"));
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
