mod common;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use common::{claim, file, interrupted, run, run_unprivileged};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const SHARE: &str = env!("CARGO_BIN_EXE_share");

#[test]
fn two_processes_share_one_frame_and_a_private_write_does_not() {
    let report = run(SHARE, &["--json"]).all_hold(20);
    assert_eq!(claim(&report, "never the private one")["holds"], true);
    assert_eq!(claim(&report, "truncated to 0")["holds"], true);
}

#[test]
fn frame_claims_are_skipped_aloud_without_the_privilege() {
    let Some(ran) = run_unprivileged("share unprivileged", SHARE, &["--json"]) else { return };
    let report = ran.all_hold(15);
    let claim = claim(&report, "both processes look at one frame");
    assert!(claim["holds"].is_null(), "{claim}");
    assert!(claim["why"].as_str().is_some_and(|why| why.contains("CAP_SYS_ADMIN")), "{claim}");
}

#[test]
fn a_shared_write_stays_in_the_file_and_a_private_one_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = file(dir.path(), "f", b"##########", 0o600);
    run(SHARE, &["write", "--json", &path, "2", "abc"]).all_hold(4);
    assert_eq!(std::fs::read(&path).expect("read"), b"##abc#####");
    run(SHARE, &["write", "--json", &path, "2", "xyz", "--private"]).all_hold(4);
    assert_eq!(std::fs::read(&path).expect("read"), b"##abc#####");
    run(SHARE, &["write", "--json", &path, "12", "xyz", "--past-end"]).all_hold(4);
    assert_eq!(std::fs::read(&path).expect("read"), b"##abc#####");
}

#[test]
fn what_cannot_be_mapped_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let empty = file(dir.path(), "empty", b"", 0o600);
    let short = file(dir.path(), "short", b"0123456789", 0o600);
    let missing = dir.path().join("missing").display().to_string();
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).expect("mkfifo");
    let fifo = fifo.display().to_string();
    let folder = dir.path().display().to_string();
    for command in [&["watch"][..], &["write"]] {
        let go = |path: &str| {
            let tail = if command[0] == "write" { &["0", "x"][..] } else { &[] };
            run(SHARE, &[command, &[path], tail].concat())
        };
        go(&missing).refused(&[&missing, "does not exist"]);
        go(&empty).refused(&[&empty, "is empty"]);
        go(&folder).refused(&[&folder, "directory"]);
        go("/dev/null").refused(&["/dev/null", "character device"]);
        go(&fifo).refused(&[&fifo, "FIFO"]);
    }
    run(SHARE, &["write", &short, "8", "xyz"]).refused(&[&short, "10 bytes", "end at 11", "at most 7"]);
    run(SHARE, &["write", &short, "5000", "x", "--past-end"]).refused(&["SIGBUS"]);
    assert_eq!(std::fs::read(&short).expect("read"), b"0123456789");
}

#[test]
fn a_file_without_permission_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    let unreadable = file(dir.path(), "unreadable", b"secret", 0o000);
    let readonly = file(dir.path(), "readonly", b"public", 0o444);
    let go = |arguments: &[&str]| run_unprivileged("share permission", SHARE, arguments);
    let Some(ran) = go(&["watch", &unreadable]) else { return };
    ran.refused(&[&unreadable, "permission denied", "read permission"]);
    let Some(ran) = go(&["write", &readonly, "0", "x"]) else { return };
    ran.refused(&[&readonly, "read and write permission"]);
    // A private write needs no right to write.
    let Some(ran) = go(&["write", "--json", &readonly, "0", "x", "--private"]) else { return };
    ran.all_hold(3);
}

#[test]
fn ctrl_c_ends_the_watch_cleanly() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = file(dir.path(), "f", b"##########", 0o600);
    let mut command = Command::new(SHARE);
    // Two seconds between two looks, as in the article: Ctrl-C must not wait for the next.
    let mut child =
        command.args(["watch", "--json", &path]).stdout(std::process::Stdio::piped()).spawn().expect("start");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("piped")));
    let mapped = lines.next().expect("a line").expect("text");
    assert!(mapped.contains(r#""event":"mapped""#), "{mapped}");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("kill");
    let last = lines.next().expect("a line").expect("text");
    assert!(last.contains(r#""event":"ended""#), "{last}");
    assert!(child.wait().expect("wait").success());
}

#[test]
fn ctrl_c_ends_the_demo_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let ran = interrupted(SHARE, &["demo", "--json"], dir.path());
    // It may have been faster than we.
    assert!(matches!(ran.code, Some(130 | 0)), "{:?} {}", ran.code, ran.stderr);
    assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 0);
}
