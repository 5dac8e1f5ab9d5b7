//! What the figures were taken on.

use std::ffi::CStr;
use std::fs::read_to_string;
use std::path::Path;
use std::process::Command;

use super::build;
use crate::results::Machine;

pub fn this(huge_pages: String) -> Machine {
    let file = |path: &str| read_to_string(path).unwrap_or_default();
    let git = |arguments: &[&str]| {
        build::text(Command::new("git").current_dir(build::root()).args(arguments).output())
    };
    let mut commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".into());
    if git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty()) {
        commit.push_str(" with changes");
    }
    Machine {
        processor: value(&file("/proc/cpuinfo"), "model name")
            .unwrap_or_else(|| std::env::consts::ARCH.into()),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        memory_mib: value(&file("/proc/meminfo"), "MemTotal").map_or(0, |text| kib(&text) / 1024),
        kernel: file("/proc/sys/kernel/osrelease").trim().to_owned(),
        libc: libc(),
        huge_pages,
        rustc: build::text(Command::new("rustc").arg("--version").output()).unwrap_or_default(),
        commit,
    }
}

/// What a process can still have without swapping.
pub fn available_mib() -> u64 {
    let text = read_to_string("/proc/meminfo").unwrap_or_default();
    value(&text, "MemAvailable").map_or(0, |text| kib(&text) / 1024)
}

#[cfg(target_env = "gnu")]
pub fn libc() -> String {
    // SAFETY: takes nothing and returns a static C string.
    let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("glibc {}", version.to_string_lossy())
}

#[cfg(not(target_env = "gnu"))]
pub fn libc() -> String {
    "musl".into()
}

/// The command to repeat this, without the folders of this machine.
pub fn command(words: impl Iterator<Item = String>) -> String {
    let mut shown = vec!["cargo run --release -p brkmap-benches --bin matrix --".to_owned()];
    shown.extend(words.skip(1).map(|word| match word.split_once('=') {
        Some((name, path)) if path.contains('/') => format!("{name}={}", last(path)),
        _ if word.starts_with('/') => last(&word),
        _ => word,
    }));
    if shown.len() == 1 { shown[0].trim_end_matches(" --").to_owned() } else { shown.join(" ") }
}

fn last(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn value(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn kib(text: &str) -> u64 {
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_no_folder() {
        let words =
            ["x/matrix", "--with", "mimalloc=/usr/lib/libmimalloc.so.3", "--output", "/tmp/out", "--quick"];
        let command = command(words.map(str::to_owned).into_iter());
        assert!(
            command.ends_with("matrix -- --with mimalloc=libmimalloc.so.3 --output out --quick"),
            "{command}"
        );
        assert!(super::command(["matrix".to_owned()].into_iter()).ends_with("--bin matrix"));
    }

    #[test]
    fn the_kernels_files_are_read() {
        assert_eq!(value("processor\t: 0\nmodel name\t: A B 7\n", "model name").as_deref(), Some("A B 7"));
        assert_eq!(kib("24635 kB"), 24635);
    }
}
