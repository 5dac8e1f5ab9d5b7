//! A free of what is not live ends the program, with a line that says why, and a handler of the program's can work
//! then.

use std::os::unix::process::ExitStatusExt;

use brkmap_tests::program::{self, Front};

fn ends(front: Front, kind: &[&str], word: &str) {
    let ended = program::run(front.exercise(&[&["wrong-free"], kind].concat()));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(
        ended.status.signal(),
        Some(libc::SIGABRT),
        "{kind:?} on {front:?}: {} and {said:?}",
        ended.status
    );
    assert!(said.contains(word), "{kind:?} on {front:?}: {said:?} has no {word:?}");
}

#[test]
fn a_small_block_freed_twice() {
    for front in Front::BOTH {
        ends(front, &["double"], "brkmap: free(): double free detected: 0x");
    }
}

#[test]
fn a_pointer_into_a_small_block() {
    for front in Front::BOTH {
        for kind in ["interior", "misaligned"] {
            ends(front, &[kind], "brkmap: free(): invalid pointer: 0x");
        }
    }
}

#[test]
fn a_pointer_into_a_small_block_freed_by_another_thread() {
    for front in Front::BOTH {
        for kind in ["interior", "misaligned"] {
            ends(front, &[kind, "by-another"], "brkmap: free(): invalid pointer: 0x");
        }
    }
}

#[test]
fn a_pointer_that_was_never_a_block() {
    for front in Front::BOTH {
        ends(front, &["static"], "brkmap: free(): invalid pointer: 0x");
    }
}

#[test]
fn a_large_block_freed_twice() {
    for front in Front::BOTH {
        ends(front, &["freed-large"], "brkmap: free(): invalid pointer: 0x");
    }
}

/// The handler allocates, frees and starts a thread that does: none of it waits for a lock, or gets a block twice.
fn is_handled(front: Front, arguments: &[&str]) {
    let ended = program::run(front.exercise(arguments));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{arguments:?} on {front:?}: {} and {said:?}", ended.status);
    assert_eq!(ended.stdout, b"handled\n");
    let complaints = said.matches("brkmap: ").count();
    // Of what many blocks are written over, the handler's thread may come by more, in another parcel.
    let more = arguments.contains(&"written-all-of-another");
    assert!(complaints == 1 || complaints > 1 && more, "{said:?}");
}

#[test]
fn a_handler_of_sigabrt_can_allocate_whoever_saw_the_error() {
    for front in Front::BOTH {
        for kind in ["double", "interior", "static", "freed-large"] {
            is_handled(front, &["wrong-free", kind, "handled"]);
        }
        is_handled(front, &["wrong-free", "interior", "by-another", "handled"]);
    }
    for error in ["double-by-two-others", "realloc-freed", "usable-interior", "written-all-of-another"] {
        for size in ["16", "64", "5000"] {
            if (error, size) != ("usable-interior", "16") {
                is_handled(Front::Preload, &["misuse", error, size, "handled"]);
            }
        }
    }
}
