//! A wrong pointer that a function of the family is told, or a wrong size, ends the program: by SIGABRT, with
//! a word of why.

use std::os::unix::process::ExitStatusExt;

use brkmap_tests::program::{self, Front};

const POINTERS: [&str; 18] = [
    "inside",
    "odd",
    "misaligned",
    "at-the-end",
    "never-handed-out",
    "behind-the-last",
    "inside-a-span",
    "page-of-a-span",
    "later-in-a-span",
    "inside-a-large",
    "page-of-a-large",
    "freed-slab",
    "freed-span",
    "freed-large",
    "static",
    "stack",
    "wild",
    "low",
];

/// The program judges itself that each call ends a child; here, that the child said why.
fn ends_with(function: &str, word: &str) {
    for kind in POINTERS {
        let ended = program::run(Front::Preload.exercise(&["wrong-pointer", function, kind]));
        ended.expect_success(&format!("{function} of {kind}"));
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(
            said.matches(word).count(),
            3,
            "{function} of {kind}: {said:?} has no {word:?} for each size"
        );
    }
}

#[test]
fn realloc_of_what_is_no_block() {
    for function in ["realloc", "realloc-smaller", "realloc-to-zero", "reallocarray"] {
        ends_with(function, "realloc(): invalid pointer");
    }
}

#[test]
fn malloc_usable_size_of_what_is_no_block() {
    ends_with("usable", "malloc_usable_size(): invalid pointer");
}

#[test]
fn free_sized_of_what_is_no_block() {
    ends_with("free_sized", "free_sized(): invalid pointer");
    ends_with("free_aligned_sized", "free_aligned_sized(): invalid pointer");
}

#[test]
fn realloc_by_the_rust_front_of_what_is_no_block() {
    for bytes in ["50000", "1000000"] {
        let ended = program::run(Front::Rust.exercise(&["wrong-realloc", bytes]));
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.signal(), Some(libc::SIGABRT), "{bytes}: {} and {said:?}", ended.status);
        assert!(said.contains("realloc(): invalid pointer"), "{bytes}: {said:?}");
    }
}

fn ends_for_size(function: &str, kind: &str) {
    let ended = program::run(Front::Preload.exercise(&["wrong-size", function, kind]));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(
        ended.status.signal(),
        Some(libc::SIGABRT),
        "{function}, {kind}: {} and {said:?}",
        ended.status
    );
    let word = format!("{function}(): invalid size");
    assert!(said.contains(&word), "{kind}: {said:?} has no {word:?}");
}

#[test]
fn sized_frees_with_a_size_of_another_class() {
    for function in ["free_sized", "free_aligned_sized"] {
        for kind in [
            "larger",
            "just-larger",
            "smaller",
            "just-smaller",
            "much-larger",
            "too-large",
            "of-a-span",
            "above-a-span",
            "of-a-mapping",
            "below-a-mapping",
            "above-a-mapping",
        ] {
            ends_for_size(function, kind);
        }
    }
    ends_for_size("free_aligned_sized", "other-alignment");
}
