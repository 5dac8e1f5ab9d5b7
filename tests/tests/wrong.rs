//! A free of what is not live ends the program, with a line that says why.

use std::os::unix::process::ExitStatusExt;

use brkmap_tests::program::{self, Front};

fn ends(kind: &[&str], word: &str) {
    let ended = program::run(Front::Preload.exercise(&[&["wrong-free"], kind].concat()));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.signal(), Some(libc::SIGABRT), "{kind:?}: {} and {said:?}", ended.status);
    assert!(said.contains(word), "{kind:?}: {said:?} has no {word:?}");
}

#[test]
fn a_small_block_freed_twice() {
    ends(&["double"], "double free");
}

#[test]
fn a_pointer_into_a_small_block() {
    ends(&["interior"], "invalid pointer");
}

#[test]
fn a_pointer_into_a_small_block_freed_by_another_thread() {
    for kind in ["interior", "misaligned"] {
        ends(&[kind, "by-another"], "invalid pointer");
    }
}

#[test]
fn a_pointer_that_was_never_a_block() {
    ends(&["static"], "invalid pointer");
}

#[test]
fn a_large_block_freed_twice() {
    ends(&["freed-large"], "invalid pointer");
}
