//! `brkmap trace`: exit codes, signals, stops, output.

use std::os::unix::process::CommandExt;
use std::process::Command;

use brkmap_tracer::{Filter, Syscall};
use serde_json::Value;

use crate::support::{Scratch, brkmap, library, needs, run, stderr, stdout, text};

fn code_of(shell: &str) -> Option<i32> {
    run(&mut brkmap(&["trace", "--summary-only", "--", "sh", "-c", shell])).status.code()
}

#[test]
fn the_commands_exit_code_is_ours() {
    assert_eq!(code_of("exit 0"), Some(0));
    assert_eq!(code_of("exit 7"), Some(7));
    assert_eq!(code_of("(exit 9) & wait; exec sh -c 'exit 8'"), Some(8));
}

#[test]
fn a_killing_signal_is_passed_on_and_told() {
    assert_eq!(code_of("kill -TERM $$"), Some(128 + libc::SIGTERM));
    assert_eq!(code_of("kill -KILL $$"), Some(128 + libc::SIGKILL));
    assert_eq!(code_of("kill -40 $$"), Some(128 + 40), "a real-time signal");
}

#[test]
fn a_handled_signal_reaches_its_handler() {
    assert_eq!(code_of("trap 'exit 3' USR1; kill -USR1 $$; exit 4"), Some(3));
    assert_eq!(code_of("trap '' USR1; kill -USR1 $$; exit 4"), Some(4));
}

#[test]
fn the_command_keeps_its_own_output() {
    let output = run(&mut brkmap(&["trace", "--", "echo", "hello"]));
    assert_eq!(stdout(&output), "hello\n");
    assert!(stderr(&output).contains("mmap(NULL, "), "{}", stderr(&output));
}

#[test]
fn a_missing_command_is_named() {
    for name in ["no-such-command-here", "/no/such/file"] {
        let output = run(&mut brkmap(&["trace", "--", name]));
        assert_eq!(output.status.code(), Some(127));
        assert!(stderr(&output).contains(name), "{}", stderr(&output));
    }
}

#[test]
fn a_file_that_is_no_program_is_told_from_a_missing_one() {
    let output = run(&mut brkmap(&["trace", "--", "/etc/passwd"]));
    assert_eq!(output.status.code(), Some(126));
    assert!(stderr(&output).contains("cannot be run"), "{}", stderr(&output));
}

#[test]
fn where_ptrace_is_denied_the_reason_is_given() {
    for (arguments, code) in [(&["trace", "--", "true"][..], 125), (&["compare", "--only", "glibc"][..], 1)] {
        let filter = Filter::refuse(Syscall::Other(libc::SYS_ptrace), libc::EPERM);
        let mut command = brkmap(arguments);
        // SAFETY: `install` is async-signal-safe, and the filter was built before the fork.
        unsafe { command.pre_exec(move || filter.install()) };
        let output = run(&mut command);
        assert_eq!(output.status.code(), Some(code));
        assert!(stderr(&output).contains("ptrace was refused (EPERM"), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_stopped_child_stays_stopped_until_it_is_continued() {
    let Some(python) = needs("python3") else { return };
    // The parent is told of the stop only when the tracer leaves the child in it.
    let program = "import os, signal, sys
pid = os.fork()
if pid == 0:
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(5)
_, status = os.waitpid(pid, os.WUNTRACED)
if not os.WIFSTOPPED(status):
    sys.exit(1)
os.kill(pid, signal.SIGCONT)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
";
    let output = run(&mut brkmap(&["trace", "--summary-only", "--", text(&python), "-c", program]));
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
}

#[test]
fn an_exec_from_another_thread_is_followed() {
    let Some(python) = needs("python3") else { return };
    let program = "import os, threading
threading.Thread(target=lambda: os.execv('/bin/sh', ['sh', '-c', 'exit 6'])).start()
threading.Event().wait()
";
    let output = run(&mut brkmap(&["trace", "--summary-only", "--", text(&python), "-c", program]));
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
}

#[test]
fn the_json_document_adds_up() {
    let scratch = Scratch::new("json");
    let file = scratch.file("calls.json");
    let output =
        run(&mut brkmap(&["trace", "--json", "-o", text(&file), "--", "sh", "-c", "ls / | cat; exit 2"]));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output), "");
    let document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(document["schema"], 2);
    assert_eq!(document["exit"], 2);
    let calls = document["calls"].as_array().unwrap();
    for (name, row) in document["summary"].as_object().unwrap() {
        let of_that_name = || calls.iter().filter(|call| call["call"] == **name);
        assert_eq!(row["calls"], of_that_name().count(), "{name}");
        assert_eq!(row["errors"], of_that_name().filter(|call| call["errno"].is_string()).count(), "{name}");
        let bytes: u64 = of_that_name().map(|call| call["bytes"].as_u64().unwrap()).sum();
        assert_eq!(row["bytes"], bytes, "{name}");
    }
    assert_eq!(document["total"]["calls"], calls.len());
    let mapped: Vec<_> = calls
        .iter()
        .filter(|call| call["call"] == "mmap")
        .map(|call| call["result"].as_str().unwrap())
        .collect();
    assert!(mapped.len() > 3 && mapped.iter().all(|result| result.starts_with("0x")), "{mapped:?}");
    assert!(document["threads"].as_u64().unwrap() >= 3, "sh, ls and cat");
}

#[test]
fn a_summary_alone_has_no_calls_in_it() {
    let output = run(&mut brkmap(&["trace", "--summary-only", "--", "true"]));
    assert!(!stderr(&output).contains("mmap("));
    assert!(stderr(&output).contains("total"));
}

#[test]
fn an_output_file_that_cannot_be_made_is_a_usage_error() {
    let output = run(&mut brkmap(&["trace", "-o", "/no/such/place/file", "--", "true"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/no/such/place/file"));
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let traced = |set: &[(&str, &str)]| {
        let mut command = brkmap(&["trace", "--", "true"]);
        stderr(&run(command.envs(set.iter().copied()))).contains('\x1b')
    };
    assert!(!traced(&[]));
    assert!(traced(&[("CLICOLOR_FORCE", "1")]));
    assert!(!traced(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn nothing_of_a_command_is_left_untraced_when_it_outlives_its_parent() {
    let Some(setsid) = needs("setsid") else { return };
    let detached = format!("{} sh -c 'exec ls / >/dev/null' & exit 4", text(&setsid));
    let traced = |shell: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brkmap"));
        let output = run(command.args(["trace", "--", "sh", "-c", shell]));
        assert_eq!(output.status.code(), Some(4));
        stderr(&output).lines().filter(|line| line.contains("mmap(")).count()
    };
    assert!(traced(&detached) > 2 * traced("exit 4"), "the program run by exec maps its libraries too");
}

/// The program maps addresses without memory, and has blocks of every kind of brkmap's.
const BLOCKS: &str = "import mmap
reserved = mmap.mmap(-1, 1 << 20, prot=0)
blocks = [bytes(size) for size in range(0, 500000, 7777)]
del blocks
";

#[test]
fn a_call_of_brkmaps_has_its_reason_beside_it_and_others_have_none() {
    let Some(python) = needs("python3") else { return };
    let scratch = Scratch::new("reasons");
    let file = scratch.file("calls.json");
    let preload = format!("LD_PRELOAD={}", text(library()));
    let program = ["--", "env", &preload, text(&python), "-S", "-c", BLOCKS];
    let output = run(&mut brkmap(&[&["trace", "--json", "-o", text(&file)], &program[..]].concat()));
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    let document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let calls = document["calls"].as_array().unwrap();
    let reasoned = calls.iter().filter(|call| call["reason"].is_string());
    for (reason, count) in document["reasons"].as_object().unwrap() {
        assert_eq!(
            count["calls"],
            reasoned.clone().filter(|call| call["reason"] == **reason).count(),
            "{reason}"
        );
    }
    let is = |call: &&Value, name: &str, reason: &str| call["call"] == name && call["reason"] == reason;
    let large: Vec<_> = reasoned.clone().filter(|call| is(call, "mmap", "large")).collect();
    assert!(large.len() > 10 && large.iter().all(|call| call["cause"] == "large"), "{large:#?}");
    let grown = reasoned.clone().find(|call| is(call, "brk", "grow")).expect("a slab");
    assert!(grown["cause"] == "class" && grown["cause_bytes"].as_u64().unwrap() >= 16, "{grown}");
    let chunk = reasoned.clone().find(|call| is(call, "brk", "chunk")).expect("a chunk");
    let blocks = (32 << 10) + 1..=128 << 10;
    assert!(
        chunk["cause"] == "medium" && blocks.contains(&chunk["cause_bytes"].as_u64().unwrap()),
        "{chunk}"
    );
    assert!(reasoned.clone().any(|call| call["reason"] == "tables"));
    // The loader's files are nobody's but its own, and the program's reservation is its own too.
    let files = calls.iter().filter(|call| call["call"] == "mmap" && call["arguments"][4] != "-1");
    assert!(files.clone().count() > 5 && files.clone().all(|call| call["reason"].is_null()));
    let reserved: Vec<_> = calls.iter().filter(|call| call["reserves"] == true).collect();
    assert!(reserved.iter().any(|call| call["bytes"] == 1 << 20), "{reserved:?}");
    let bytes: u64 = reserved.iter().map(|call| call["bytes"].as_u64().unwrap()).sum();
    assert_eq!(document["summary"]["mmap"]["reserved"], bytes);
    let executed: Vec<_> = document["executed"].as_array().unwrap().iter().collect();
    assert!(
        executed.len() == 2 && executed[1]["program"].as_str().unwrap().contains("python"),
        "{executed:?}"
    );
    let times: Vec<_> = calls.iter().map(|call| call["seconds"].as_f64().unwrap()).collect();
    assert!(times.is_sorted() && times[0] < 60.0 && executed[1]["seconds"].as_f64().unwrap() > times[0]);

    let output = run(&mut brkmap(&[&["trace"], &program[..]].concat()));
    let text = stderr(&output);
    for part in [
        " # large\n",
        " # grow, class ",
        " # chunk, medium ",
        "  # addresses alone\n",
        "+++ exec /usr/bin/python3",
        "brkmap's for  calls",
        "mapped without memory",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn a_log_of_the_users_own_is_left_alone() {
    let scratch = Scratch::new("own-log");
    let file = scratch.file("log");
    let preload = format!("LD_PRELOAD={}", text(library()));
    let mut command = brkmap(&["trace", "--", "env", &preload, "ls", "/"]);
    let output = run(command.env("BRKMAP_CONF", format!("log:{}", text(&file))));
    assert!(output.status.success() && !stderr(&output).contains(" # tables"), "{}", stderr(&output));
    assert!(std::fs::read_to_string(&file).unwrap().contains(" ok tables "));
}
