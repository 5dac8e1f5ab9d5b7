//! Programs with one memory error each: what the allocator makes of them. ARCHITECTURE has the same table beside
//! glibc's.

use std::os::unix::process::ExitStatusExt;

use brkmap_tests::program::{self, Front};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Outcome {
    /// Ended with a message that names the pointer.
    Ends,
    /// The program goes on, and no block overlaps another or changed.
    Tolerated,
    Corrupt,
}
use Outcome::{Corrupt, Ends, Tolerated};

/// Sizes of blocks of 16 bytes, of slabs' others, of those that go home at once, and of spans.
const ALL: &[usize] = &[16, 64, 624, 1000, 5000, 20_000, 40_000];
const SMALL: &[usize] = &[16, 64, 624, 1000, 5000, 20_000];
/// Where 16 bytes behind a block's start no other one begins.
const LONG: &[usize] = &[64, 624, 1000, 5000, 20_000, 40_000];
/// What a program is most often made of.
const ONE: &[usize] = &[64];

const ERRORS: [(&str, &[usize], Outcome); 41] = [
    ("no-error", ALL, Tolerated),
    ("double-at-once", ALL, Ends),
    ("double-one-between", ALL, Ends),
    ("double-many-between", ALL, Ends),
    ("double-by-another", SMALL, Ends),
    ("double-by-two-others", SMALL, Ends),
    ("double-first-by-another", ALL, Ends),
    ("double-many-by-another", ALL, Ends),
    ("double-of-ended-thread", SMALL, Ends),
    ("double-in-child", ALL, Ends),
    ("double-cleared", ALL, Ends),
    ("double-aligned", SMALL, Ends),
    ("double-after-realloc", ALL, Ends),
    ("double-large", ONE, Ends),
    ("free-interior", LONG, Ends),
    ("free-misaligned", ALL, Ends),
    ("free-odd", ALL, Ends),
    ("free-end", ALL, Ends),
    ("free-never", SMALL, Ends),
    ("free-tail", LONG, Ends),
    ("free-stack", ONE, Ends),
    ("free-static", ONE, Ends),
    ("free-wild", ONE, Ends),
    ("free-low", ONE, Ends),
    ("realloc-freed", ALL, Ends),
    ("realloc-interior", LONG, Ends),
    ("realloc-static", ONE, Ends),
    ("usable-interior", LONG, Ends),
    ("written-pointer", ALL, Tolerated),
    ("written-all", ALL, Tolerated),
    ("written-pointer-of-another", SMALL, Ends),
    ("written-all-of-another", SMALL, Ends),
    ("written-counted-of-another", SMALL, Ends),
    ("overflow-slack", ALL, Tolerated),
    // The next block begins where one ends: nobody can tell a free of it, or a write to it, from the owner's.
    ("free-next", ONE, Corrupt),
    ("written-reused", ONE, Corrupt),
    ("overflow-1", ONE, Corrupt),
    ("overflow-8", ONE, Corrupt),
    ("overflow-64", ONE, Corrupt),
    ("overflow-before-1", ONE, Corrupt),
    ("overflow-before-8", ONE, Corrupt),
];

fn outcome(error: &str, size: usize) -> (Option<Outcome>, String) {
    let ended = program::run(Front::Preload.exercise(&["misuse", error, &size.to_string()]));
    let said = format!(
        "{error} of {size} bytes: {}, {:?} and {:?}",
        ended.status,
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
    let told = String::from_utf8_lossy(&ended.stderr).lines().any(|line| {
        line.strip_prefix("brkmap: ")
            .and_then(|line| line.rsplit_once(": 0x"))
            .is_some_and(|(_, address)| address.bytes().all(|digit| digit.is_ascii_hexdigit()))
    });
    let outcome = match (&*ended.stdout, ended.status.code(), ended.status.signal()) {
        (b"tolerated\n", Some(0), _) => Some(Tolerated),
        (b"corrupt\n", Some(0), _) => Some(Corrupt),
        (b"", _, Some(libc::SIGABRT)) if told => Some(Ends),
        _ => None,
    };
    (outcome, said)
}

/// Runs the errors whose names begin so, of all sizes.
fn check(prefix: &str) {
    let mut wrong = Vec::new();
    for (error, sizes, expected) in ERRORS.iter().filter(|(error, ..)| error.starts_with(prefix)) {
        for &size in *sizes {
            let (got, said) = outcome(error, size);
            if got != Some(*expected) {
                wrong.push(format!("{said}, not {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_error_ends_nothing() {
    check("no-");
}

/// What a program has in its live blocks ends nothing, whatever the allocator writes into free ones.
#[test]
fn a_live_block_that_looks_like_a_free_one_is_freed() {
    for size in [16, 24, 64, 624, 1000, 3000, 5000, 20_000] {
        Front::Preload.check(&["stamped", &size.to_string()]);
    }
}

#[test]
fn a_block_freed_twice() {
    check("double-");
}

#[test]
fn a_pointer_that_is_no_block() {
    check("free-");
    check("usable-");
}

#[test]
fn a_realloc_of_what_is_no_live_block() {
    check("realloc-");
}

#[test]
fn a_write_to_a_free_block() {
    check("written-");
}

#[test]
fn a_write_beyond_a_block() {
    check("overflow-");
}
