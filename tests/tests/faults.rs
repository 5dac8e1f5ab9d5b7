//! Every kind of memory call fails in turn, on the real kernel: no crash, no corruption, NULL means ENOMEM,
//! and everything works once the fault is gone.

use brkmap_tests::program::{self, Front};

/// Calls that failed. The scenario takes the same memory again and again: it is to go each time.
fn failed(front: Front, arguments: &[&str]) -> usize {
    let mut command = front.exercise(arguments);
    command.env("BRKMAP_CONF", "swing:0");
    let ended = program::run(command);
    ended.expect_success(&format!("{arguments:?} on {front:?}"));
    String::from_utf8_lossy(&ended.stdout).trim().parse().expect("a number")
}

fn check(front: Front, call: &str) {
    let failed = failed(front, &["faults", call]);
    println!("{call} on {front:?}: {failed} calls failed");
    assert!(failed > 0, "no {call} failed on {front:?}: this shows nothing");
}

#[test]
fn any_brk_may_fail() {
    // The thread that answers is a second one: beside libc's malloc the Rust front makes no brk then.
    check(Front::Preload, "brk");
}

#[test]
fn any_brk_of_a_growing_arena_may_fail() {
    for k in 0..6 {
        for errno in [0, libc::ENOMEM, libc::EPERM] {
            let [k, errno] = [k, errno as usize].map(|number| number.to_string());
            let failed = |count| failed(Front::Preload, &["faults-first", "brk", &k, count, &errno]);
            assert_eq!(failed("1"), 1, "brk {k} of the first round");
            // It must be asked again behind one such answer: a growth asks three times at most, a region serves.
            let lasting = failed("1000");
            assert!(lasting > 3, "brk from {k} on, errno {errno}: only {lasting} calls");
        }
    }
}

#[test]
fn any_mmap_may_fail() {
    Front::BOTH.iter().for_each(|front| check(*front, "mmap"));
}

#[test]
fn any_munmap_may_fail() {
    Front::BOTH.iter().for_each(|front| check(*front, "munmap"));
}

#[test]
fn any_mremap_may_fail() {
    Front::BOTH.iter().for_each(|front| check(*front, "mremap"));
}

#[test]
fn any_madvise_may_fail() {
    Front::BOTH.iter().for_each(|front| check(*front, "madvise"));
}

#[test]
fn any_mprotect_may_fail() {
    Front::BOTH.iter().for_each(|front| check(*front, "mprotect"));
}

#[test]
fn faults_may_come_and_go_under_several_threads() {
    for front in Front::BOTH {
        let failed = failed(front, &["faults-threads"]);
        assert!(failed > 50, "only {failed} calls failed on {front:?}");
    }
}
