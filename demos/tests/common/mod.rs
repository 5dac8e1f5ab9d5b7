//! Running a demo and reading what it says.
#![allow(dead_code, reason = "each test file uses its part")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

pub fn run(program: &str, arguments: &[&str]) -> Ran {
    ran(Command::new(program).args(arguments).output().expect("the demo starts"))
}

fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {}\n{}", self.stdout, self.stderr))
    }

    /// The demo ended well, every claim it made holds, and there were at least `least` of them.
    pub fn all_hold(&self, least: usize) -> Value {
        let report = self.json();
        let claims = report["claims"].as_array().expect("claims");
        for claim in claims {
            assert_ne!(claim["holds"], Value::Bool(false), "{claim}");
            if claim["holds"].is_null() {
                println!("SKIP {}: {}", claim["claim"], claim["why"]);
            }
        }
        let held = claims.iter().filter(|claim| claim["holds"] == true).count();
        assert!(held >= least, "only {held} claims hold:\n{}", self.stdout);
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        assert_eq!(report["schema"], 1);
        assert_eq!(report["holds"], true);
        report
    }

    /// Refused with exit code 2 and a message that has all of `words`.
    pub fn refused(&self, words: &[&str]) {
        assert_eq!(self.code, Some(2), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        assert!(self.stderr.starts_with("error: "), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {:?}", self.stderr);
        }
    }
}

/// The claim whose text contains `part`.
pub fn claim<'a>(report: &'a Value, part: &str) -> &'a Value {
    let claims = report["claims"].as_array().expect("claims");
    claims
        .iter()
        .find(|claim| claim["claim"].as_str().is_some_and(|text| text.contains(part)))
        .unwrap_or_else(|| panic!("no claim {part:?} in {report}"))
}

/// Runs the demo as a user without privileges; None, with the reason printed, if that cannot be.
pub fn run_unprivileged(test: &str, program: &str, arguments: &[&str]) -> Option<Ran> {
    if !nix::unistd::geteuid().is_root() {
        return Some(run(program, arguments));
    }
    // The build directory may be root's alone.
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    let copy = dir.path().join("demo");
    // By another process: a child that a thread of this one starts meanwhile would hold the file open for writing, and
    // then it cannot be executed.
    assert!(Command::new("cp").arg(program).arg(&copy).status().expect("cp").success(), "copy the demo");
    match Command::new(&copy).args(arguments).current_dir("/").uid(65534).gid(65534).output() {
        Ok(output) => Some(ran(output)),
        Err(error) => {
            println!("SKIP {test}: cannot run as user 65534: {error}");
            None
        }
    }
}

/// Starts the demo, presses Ctrl-C as soon as it watches for that, and waits for its end.
pub fn interrupted(program: &str, arguments: &[&str], temp: &Path) -> Ran {
    let mut command = Command::new(program);
    command.args(arguments).env("TMPDIR", temp).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the demo starts");
    let pid = child.id();
    let watches = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).expect("SigBlk").trim();
        u64::from_str_radix(blocked, 16).expect("hex") & (1 << (libc::SIGINT - 1)) != 0
    };
    while !watches() {
        std::thread::yield_now();
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), nix::sys::signal::Signal::SIGINT)
        .expect("kill");
    ran(child.wait_with_output().expect("it ends"))
}

/// A file with these bytes and this mode.
pub fn file(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> String {
    let path = dir.join(name);
    std::fs::write(&path, bytes).expect("write a file");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("chmod");
    path.to_str().expect("a plain name").to_owned()
}
