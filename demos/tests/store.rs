use std::os::unix::fs::PermissionsExt;

mod common;

use common::{claim, file, interrupted, run, run_unprivileged};

const STORE: &str = env!("CARGO_BIN_EXE_store");

#[test]
fn a_writer_killed_at_random_moments_loses_no_commit() {
    let report = run(STORE, &["demo", "--json", "--kills", "150", "--seed", "20260101"]).all_hold(6);
    assert_eq!(report["facts"]["kills"], 150);
    // Each life waits for 0 to 29 commits before it is ended; without them the kills show nothing.
    assert!(report["facts"]["commits"].as_u64() > Some(150), "{report}");
    assert_eq!(claim(&report, "no commit that was acknowledged")["holds"], true);
}

#[test]
fn the_command_line_puts_gets_deletes_scans_and_compacts() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store").display().to_string();
    for (key, value) in [("b", "2"), ("a", "1"), ("ab", "3"), ("a", "4")] {
        assert_eq!(run(STORE, &["put", &path, key, value]).code, Some(0));
    }
    assert_eq!(run(STORE, &["get", &path, "a"]).stdout, "4\n");
    assert_eq!(run(STORE, &["scan", &path]).stdout, "a\t4\nab\t3\nb\t2\n");
    assert_eq!(run(STORE, &["scan", &path, "a"]).stdout, "a\t4\nab\t3\n");
    assert_eq!(run(STORE, &["delete", &path, "ab"]).code, Some(0));
    assert_eq!(run(STORE, &["compact", &path]).code, Some(0));
    let scanned = run(STORE, &["scan", &path, "--json"]).json();
    assert_eq!(scanned["schema"], 1);
    assert_eq!(scanned["pairs"].as_array().map(Vec::len), Some(2));
    for command in ["get", "delete"] {
        let gone = run(STORE, &[command, &path, "ab"]);
        assert_eq!(gone.code, Some(1));
        assert!(gone.stderr.contains("no key \"ab\""), "{}", gone.stderr);
    }
}

#[test]
fn bad_input_is_refused_by_name_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("missing").display().to_string();
    let zeros = file(dir.path(), "zeros", &[0; 8192], 0o600);
    let stranger = file(dir.path(), "stranger", &[b'x'; 8192], 0o600);
    run(STORE, &["get", &missing, "a"]).refused(&[&missing, "does not exist"]);
    run(STORE, &["put", "/missing/store", "a", "b"]).refused(&["/missing/store"]);
    run(STORE, &["put", &dir.path().display().to_string(), "a", "b"]).refused(&["directory"]);
    run(STORE, &["put", "/dev/zero", "a", "b"]).refused(&["/dev/zero", "regular file"]);
    run(STORE, &["put", &missing, "", "b"]).refused(&["a key has 1 to"]);
    for path in [&zeros, &stranger] {
        let before = std::fs::read(path).expect("read");
        run(STORE, &["put", path, "a", "b"]).refused(&[path, "no store"]);
        assert_eq!(std::fs::read(path).expect("read"), before);
    }
    let Some(ran) = run_unprivileged("store permission", STORE, &["get", &stranger, "a"]) else { return };
    if nix::unistd::geteuid().is_root() {
        ran.refused(&[&stranger, "permission denied"]);
    }
}

#[test]
fn reading_writes_nothing_and_needs_no_right_to_write() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("for everybody");
    let path = dir.path().join("store").display().to_string();
    assert_eq!(run(STORE, &["put", &path, "a", "1"]).code, Some(0));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o444)).expect("read only");
    let before = std::fs::metadata(&path).expect("its times").modified().expect("of the last write");
    let bytes = std::fs::read(&path).expect("read");
    for (arguments, said) in [(&["get", &path, "a"][..], "1\n"), (&["scan", &path], "a\t1\n")] {
        let Some(ran) = run_unprivileged("store reading", STORE, arguments) else { return };
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), said), "{}", ran.stderr);
    }
    // An empty file is not made a store by being looked at.
    let empty = file(dir.path(), "empty", &[], 0o600);
    run(STORE, &["get", &empty, "a"]).refused(&[&empty, "no store"]);
    assert_eq!(std::fs::read(&empty).expect("read").len(), 0);
    assert_eq!(std::fs::read(&path).expect("read"), bytes);
    assert_eq!(std::fs::metadata(&path).expect("its times").modified().expect("of the last write"), before);
}

#[test]
fn ctrl_c_ends_the_demo_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let ran = interrupted(STORE, &["demo", "--kills", "1000000"], dir.path());
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 0);
}
