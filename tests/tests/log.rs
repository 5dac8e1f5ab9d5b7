//! `BRKMAP_CONF=log:FILE`: a line for each memory call, with its reason.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use brkmap_tests::calls::{Call, show, spans};
use brkmap_tests::program::{self, Front};
use brkmap_tests::{compile, skip};
use nix::unistd::{Gid, Uid};

/// A line of the log, by its columns.
#[derive(Debug)]
struct Line<'a> {
    process: u32,
    thread: u32,
    call: &'a str,
    bytes: usize,
    address: &'a str,
    outcome: &'a str,
    reason: &'a str,
    cause: &'a str,
}

fn line(text: &str) -> Line<'_> {
    let words: Vec<_> = text.split(' ').collect();
    let ["brkmap", who, call, bytes, address, outcome, reason, cause, ..] = words[..] else {
        panic!("no line of a log: {text}");
    };
    let (process, thread) = who.split_once('/').expect("a process and a thread");
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text}"));
    assert!(words.len() == 8 || words.len() == 9 && words[8].parse::<usize>().is_ok(), "{text}");
    Line {
        process: number(process),
        thread: number(thread),
        call,
        bytes: bytes.parse().expect("bytes"),
        address,
        outcome,
        reason,
        cause,
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Whether a call that the tracer saw is the one that a line is about.
fn is(seen: &Call, line: &Line) -> bool {
    let first = &seen.arguments[0];
    seen.name == line.call
        && seen.failed() == (line.outcome != "ok")
        && match line.call {
            "brk" => (first == "NULL") == (line.reason == "look"),
            "mmap" => seen.failed() || seen.result == line.address,
            "mremap" => seen.failed() || seen.result == line.address && seen.length() == line.bytes,
            _ => first == line.address && seen.length() == line.bytes,
        }
}

#[test]
fn each_call_that_the_kernel_sees_has_its_line_in_order() {
    for (front, scenario, labels) in [
        (Front::Preload, "small", &["small"][..]),
        (Front::Preload, "large", &["first", "second", "free", "third"]),
        (Front::Rust, "large", &["first", "second", "free", "third"]),
        (Front::Preload, "realloc", &["grow", "grow-on"]),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let text = path.to_str().expect("text");
        let Some(calls) = front.trace_with(&[scenario], &[("BRKMAP_LOG", text)]) else { return };
        let log = read(&path);
        // The tracer does not look at msync.
        let lines: Vec<_> = log.lines().map(line).filter(|line| line.call != "msync").collect();
        // Of each thread, in order, among what libc and the loader ask for.
        let mut at = HashMap::new();
        for line in &lines {
            let from = at.entry(line.thread).or_insert(0);
            let found = calls[*from..].iter().position(|seen| seen.thread == line.thread && is(seen, line));
            *from += 1 + found.unwrap_or_else(|| panic!("{line:?} was not made: {}", show(&calls[*from..])));
        }
        // What the program asks for between its marks is the allocator's alone.
        for span in labels.iter().flat_map(|label| spans(&calls, label)) {
            for seen in span {
                let own = |line: &&Line| line.thread == seen.thread && is(&seen, line);
                assert!(lines.iter().any(|line| own(&line)), "no line for {seen:?} in\n{log}");
            }
        }
        for (call, reason) in [("mmap", "tables"), ("mmap", "heaps")] {
            assert!(lines.iter().any(|line| (line.call, line.reason) == (call, reason)), "{log}");
        }
        let large = lines.iter().filter(|line| line.reason == "large" || line.reason == "realloc");
        assert!(large.clone().all(|line| line.cause == "large"), "{log}");
        assert!(scenario == "small" || large.count() > 1, "{log}");
    }
}

/// The program that is hard on its log, with a log to a file. What it says, and the log.
fn hard(words: &[&str]) -> Option<(String, String)> {
    let program = compile::c("log", &[])?;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let mut command = program.preloaded(&[program::preload()]);
    // What it takes again and again is to be a call each time.
    command.args(words).env("BRKMAP_LOG", &path).env("BRKMAP_SWING", "0").current_dir(folder.path());
    let ended = program::run(command);
    ended.expect_success(words[0]);
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    Some((String::from_utf8(ended.stdout).expect("text"), read(&path)))
}

#[test]
fn a_program_that_takes_the_logs_number_for_its_own_file_finds_nothing_in_it() {
    let Some((_, log)) = hard(&["closed", "mine"]) else { return };
    assert!(log.lines().map(line).any(|line| line.reason == "realloc"), "it was written to before: {log}");
}

#[test]
fn a_child_writes_on_under_its_own_number() {
    let Some((said, log)) = hard(&["forked"]) else { return };
    let numbers: Vec<u32> = said.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    for number in numbers {
        let own = log.lines().map(line).filter(|line| line.process == number);
        let large = own.clone().filter(|line| line.reason == "large" && line.thread == number).count();
        assert!(large > 1, "{number} in\n{log}");
    }
}

#[test]
fn a_pipe_that_nobody_reads_ends_no_program() {
    let Some(_) = hard(&["broken"]) else { return };
}

#[test]
fn a_log_that_cannot_be_written_is_said_to_be_none() {
    for (to, shown) in [("/no/such/folder/log", "`/no/such/folder/log`"), ("417", "`417`")] {
        for front in Front::BOTH {
            let mut command = front.exercise(&["nothing"]);
            command.env("BRKMAP_CONF", format!("log:{to}"));
            let ended = program::run(command);
            ended.expect_success("without a log");
            let said = String::from_utf8(ended.stderr).expect("text");
            let right = "is neither an open descriptor nor a file that can be written; there is no log\n";
            assert_eq!(said, format!("brkmap: log: {shown} {right}"));
        }
    }
}

#[test]
fn a_program_with_raised_rights_writes_none() {
    if !Uid::current().is_root() {
        return skip::skip("only root makes programs that raise rights");
    }
    let folder =
        tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir().expect("a folder");
    let raised = folder.path().join("raised");
    program::copy(&program::binary("exercise-rust"), &raised);
    let log = folder.path().join("log");
    let ends = |mode: u32| {
        std::fs::set_permissions(&raised, PermissionsExt::from_mode(mode)).expect("its rights");
        let mut command = Command::new(&raised);
        command.args(["nothing"]).env("BRKMAP_LOG", &log).env("BRKMAP_STATS", "exit").current_dir("/");
        const NOBODY: u32 = 65534;
        command.gid(Gid::from_raw(NOBODY).as_raw()).uid(Uid::from_raw(NOBODY).as_raw());
        let ended = program::run(command);
        ended.expect_success("a program that raises its rights");
        String::from_utf8(ended.stderr).expect("text")
    };
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).expect("the folder's rights");
    assert!(ends(0o755).contains("allocated") && log.exists(), "without raised rights both are written");
    std::fs::remove_file(&log).expect("the log");
    let said = ends(0o4755);
    if said.contains("allocated") {
        return skip::skip("programs here raise no rights (nosuid)");
    }
    assert_eq!((said.as_str(), log.exists()), ("", false));
}
