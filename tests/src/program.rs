//! A program under test: on which allocator it runs, and how long it may take.

use std::io::{Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use brkmap_tracer::{End, Event, Filter, Program, Tracer};
use nix::sys::resource::{Resource, setrlimit};

use crate::calls::Call;
use crate::{skip, strace};

/// No measure of speed: what takes this long hangs.
pub const DEADLINE: Duration = Duration::from_secs(300);

/// The two ways to be a program's allocator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Front {
    /// libbrkmap.so under LD_PRELOAD, malloc and free called through libc.
    Preload,
    /// `#[global_allocator]`, linked in.
    Rust,
    /// A heap of one's own, beside libc's malloc.
    Heap,
}

impl Front {
    pub const BOTH: [Front; 2] = [Front::Preload, Front::Rust];

    /// `exercise ARGUMENTS…` on this front.
    pub fn exercise(self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.binary());
        command.args(arguments);
        if self == Front::Preload {
            command.env("LD_PRELOAD", preload());
        }
        command
    }

    /// `small ARGUMENTS…` on this front: a program that does little, optimised.
    pub fn small(self, arguments: &[&str]) -> Command {
        let name = match self {
            Front::Preload => "small",
            Front::Rust => "small-rust",
            Front::Heap => panic!("no small program has a heap of its own"),
        };
        let mut command = small(name, arguments);
        if self == Front::Preload {
            command.env("LD_PRELOAD", preload());
        }
        command
    }

    fn binary(self) -> PathBuf {
        binary(match self {
            Front::Preload => "exercise",
            Front::Rust => "exercise-rust",
            Front::Heap => "exercise-heap",
        })
    }

    /// Runs the scenario, which judges itself.
    pub fn check(self, arguments: &[&str]) {
        run(self.exercise(arguments)).expect_success(&format!("{arguments:?} on {self:?}"));
    }

    /// The same where no swing is followed: the bounds are on what stays without one, and whether one is seen
    /// depends on the time that the scenario takes.
    pub fn check_without_swing(self, arguments: &[&str]) {
        let mut command = self.exercise(arguments);
        command.env("BRKMAP_CONF", "swing:0");
        run(command).expect_success(&format!("{arguments:?} on {self:?} without a swing"));
    }

    /// Runs the scenario with more environment, and gives its memory calls and marks. None: nothing can be traced
    /// here.
    pub fn trace_with(self, arguments: &[&str], environment: &[(&str, &str)]) -> Option<Vec<Call>> {
        let argv = [self.binary().into_os_string()].into_iter().chain(arguments.iter().map(Into::into));
        let mut program = Program::new(argv.collect());
        program.set("RUST_BACKTRACE", "0");
        if self == Front::Preload {
            program.set("LD_PRELOAD", preload());
        }
        for (name, value) in environment {
            program.set(name, value);
        }
        let (calls, ended) = traced(program)?;
        ended.expect_success(&format!("{arguments:?} on {self:?}, traced"));
        Some(calls)
    }

    /// The same as strace sees it. None: no strace here.
    pub fn strace(self, arguments: &[&str]) -> Option<Vec<Call>> {
        let strace = skip::tool("strace")?;
        let log = tempfile::NamedTempFile::new().expect("a file for the log");
        let mut command = Command::new(strace);
        command.args(["-f", "-s", "64", "-e", strace::CALLS, "-o"]).arg(log.path());
        if self == Front::Preload {
            // For the traced program only: strace itself is not under test.
            command.arg("-E").arg(format!("LD_PRELOAD={}", preload().display()));
        }
        command.arg(self.binary()).args(arguments);
        run(command).expect_success(&format!("{arguments:?} on {self:?} under strace"));
        Some(strace::read(log.path()))
    }

    pub fn trace(self, arguments: &[&str]) -> Option<Vec<Call>> {
        self.trace_with(arguments, &[])
    }
}

/// The Rust front's program under the preload library: one allocator within the other's process.
pub fn both(arguments: &[&str]) -> Command {
    let mut command = Front::Rust.exercise(arguments);
    command.env("LD_PRELOAD", preload());
    command
}

/// A program of this package. Cargo builds it before the integration tests, next to their folder.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let profile = test.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST");
    profile.join(name)
}

/// The exercise program on libc's own malloc.
pub fn plain(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("exercise"));
    command.args(arguments);
    command
}

/// The small program on libc's own malloc.
pub fn plain_small(arguments: &[&str]) -> Command {
    small("small", arguments)
}

/// A small program. Built if need be.
fn small(name: &str, arguments: &[&str]) -> Command {
    let program = example(name, name);
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// The library the programs are preloaded with: BRKMAP_PRELOAD, or libbrkmap.so of this tree, built if need
/// be.
pub fn preload() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("BRKMAP_PRELOAD") {
            // Relative to where the user stands would be relative to somewhere else in the tests.
            return std::fs::canonicalize(&path)
                .unwrap_or_else(|why| panic!("BRKMAP_PRELOAD {path:?}: {why}"));
        }
        built("release", &["-p", "brkmap-preload"], "libbrkmap.so")
    })
}

/// A library with the allocator inside, as Rust programs have them for plugins. Built if need be.
pub fn plugin() -> PathBuf {
    example("plugin", "libplugin.so")
}

/// A library whose constructor calls into the program that opens it. Built if need be.
pub fn constructor() -> PathBuf {
    example("constructor", "libconstructor.so")
}

/// A library that is opened and closed while a profile is taken. Built if need be.
pub fn opened() -> PathBuf {
    example("opened", "libopened.so")
}

/// One of this package's, optimised, but not across crates: that takes a minute for each.
fn example(name: &str, product: &str) -> PathBuf {
    built("demo", &["-p", "brkmap-tests", "--example", name], &format!("examples/{product}"))
}

/// What cargo builds of this tree, beside the tests.
fn built(profile: &str, what: &[&str], product: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let target = test.ancestors().nth(3).expect("target/PROFILE/deps/TEST");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--profile", profile, "--target-dir"])
        .arg(target)
        .args(what)
        .current_dir(root());
    assert!(command.status().expect("cargo").success(), "{product} does not build");
    target.join(profile).join(product)
}

/// Whether the library under test is our own: what is peculiar to brkmap is asked of it alone.
pub fn is_ours() -> bool {
    preload().file_name().is_some_and(|name| name == "libbrkmap.so")
}

/// The root of the source tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

/// A program that has ended.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Ended {
    /// The numbers that it printed, once it ended well.
    pub fn numbers(&self, what: &str) -> Vec<usize> {
        self.expect_success(what);
        let text = String::from_utf8_lossy(&self.stdout);
        text.split_whitespace()
            .map(|word| word.parse().unwrap_or_else(|_| panic!("{what}: {text}")))
            .collect()
    }

    /// Panics with all it said unless it ended well.
    pub fn expect_success(&self, what: &str) {
        assert!(
            self.status.success(),
            "{what}: {}{}\n{}{}",
            self.status,
            if self.status.signal() == Some(libc::SIGKILL) {
                " (a kill at the deadline is a hang)"
            } else {
                ""
            },
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr),
        );
    }
}

/// Copies a program, by another one: a child that a thread of this process starts meanwhile would hold the copy open
/// for writing, and then nobody can execute it.
pub fn copy(program: &Path, to: &Path) {
    let copied = Command::new("cp").arg(program).arg(to).status().expect("cp");
    assert!(copied.success(), "a copy of {}", program.display());
}

/// Has a command start under a limit, of which it may raise `soft` to `hard`.
pub fn limited(command: &mut Command, resource: Resource, soft: u64, hard: u64) {
    // SAFETY: setrlimit is async-signal-safe, and nothing else happens between fork and exec.
    unsafe {
        command.pre_exec(move || Ok(setrlimit(resource, soft, hard)?));
    }
}

/// Runs it to its end, or kills it and all it started at the deadline.
pub fn run(mut command: Command) -> Ended {
    // Files, not pipes: a program that says much never waits for us.
    let mut stdout = tempfile::tempfile().expect("a file for stdout");
    let mut stderr = tempfile::tempfile().expect("a file for stderr");
    let mut child = command
        // A backtrace takes memory, and a program that found a limit has none: it would hang in its own report.
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().expect("stdout"))
        .stderr(stderr.try_clone().expect("stderr"))
        .process_group(0)
        .spawn()
        .unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait") {
            break status;
        }
        if began.elapsed() > DEADLINE {
            // SAFETY: only signals; the group is the one made for this child, which is not reaped yet.
            unsafe { libc::kill(-(child.id() as libc::pid_t), libc::SIGKILL) };
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Ended { status, stdout: contents(&mut stdout), stderr: contents(&mut stderr) }
}

/// Runs it to its end under the tracer, or kills it at the deadline. None, with the reason said: nothing can be traced
/// here.
fn traced(mut program: Program) -> Option<(Vec<Call>, Ended)> {
    let mut stdout = tempfile::tempfile().expect("a file for stdout");
    let mut stderr = tempfile::tempfile().expect("a file for stderr");
    program.stdout = Some(stdout.try_clone().expect("stdout"));
    program.stderr = Some(stderr.try_clone().expect("stderr"));
    let tracer = match Tracer::start(&program, &Filter::memory_calls_and_marks()) {
        Ok(tracer) => tracer,
        Err(why) => {
            skip::skip(&why.to_string());
            return None;
        }
    };
    let pid = tracer.pids()[0];
    let (done, deadline) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if deadline.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Timeout) {
            // SAFETY: only signals, and a program that is still traced.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    });
    let mut calls = Vec::new();
    let ends = tracer.run(|event| match event {
        Event::Call(call) => calls.push(Call::from(call)),
        Event::Mark { tid, words } => calls.push(Call::mark(tid.cast_unsigned(), words)),
        Event::Executed { .. } | Event::Ends { .. } => {}
    });
    drop(done);
    watchdog.join().expect("the watchdog");
    let status = match ends.expect("the program starts")[0] {
        End::Exited(code) => ExitStatus::from_raw(code << 8),
        End::Killed(signal) => ExitStatus::from_raw(signal),
    };
    Some((calls, Ended { status, stdout: contents(&mut stdout), stderr: contents(&mut stderr) }))
}

fn contents(file: &mut std::fs::File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("what the program said");
    bytes
}
