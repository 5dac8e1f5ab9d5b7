//! What the tests of the command share.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// The command, with nothing in its environment that changes what libc's allocator does.
pub fn brkmap(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brkmap"));
    command.args(arguments);
    clean(&mut command);
    command
}

pub fn clean(command: &mut Command) {
    for (name, _) in std::env::vars() {
        let sets = name.starts_with("MALLOC_")
            || name.starts_with("BRKMAP_")
            || name == "GLIBC_TUNABLES"
            || name == "LD_PRELOAD";
        if sets || name.starts_with("CLICOLOR") || name == "NO_COLOR" || name == "COLUMNS" {
            command.env_remove(name);
        }
    }
}

pub fn run(command: &mut Command) -> Output {
    command.output().expect("the command starts")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The JSON document on stdout of a command that succeeds.
pub fn json(command: &mut Command) -> Value {
    let output = run(command);
    assert!(output.status.success(), "{}", stderr(&output));
    let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(document["schema"], 2);
    document
}

/// libbrkmap.so of this tree, built if need be.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let target =
            Path::new(env!("CARGO_BIN_EXE_brkmap")).ancestors().nth(2).expect("target/PROFILE/brkmap");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--release", "-p", "brkmap-preload", "--target-dir"]).arg(target);
        assert!(command.status().expect("cargo").success());
        target.join("release/libbrkmap.so")
    })
}

/// A program that a test cannot do without; the test says so and ends where it is missing. Where this machine may not
/// install anything, the suite has said so in BRKMAP_CANNOT.
pub fn needs(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // The system's own first: a wrapper script around an interpreter would be traced too.
    let places =
        [PathBuf::from("/usr/bin"), PathBuf::from("/bin")].into_iter().chain(std::env::split_paths(&path));
    let found = places.map(|place| place.join(name)).find(|file| file.is_file());
    if found.is_none() {
        let word = if std::env::var_os("BRKMAP_CANNOT").is_some() { "cannot install" } else { "missing" };
        println!(
            "SKIP {}: {word} {name}",
            std::thread::current().name().unwrap_or("test").replace("::", ".")
        );
    }
    found
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A directory for one test's files, gone with the value.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&place).expect("a directory below the target directory");
        Scratch(place)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
