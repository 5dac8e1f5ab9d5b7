//! Heaps of one's own: beside any allocator, over threads and forks, and what becomes of wrong use.

use std::os::unix::process::{CommandExt, ExitStatusExt};

use brkmap_tests::program::{self, Front, run};
use brkmap_tests::skip::skip;
use brkmap_tracer::{Filter, Syscall};

/// Beside libc's malloc, below the preload library, in a program of brkmap's.
const BESIDE: [Front; 3] = [Front::Heap, Front::Preload, Front::Rust];

#[test]
fn threads_share_a_heap() {
    Front::Heap.check(&["storm", "4", "20000", "1"]);
}

#[test]
fn heaps_come_and_go_beside_any_allocator_over_forks() {
    BESIDE.iter().for_each(|front| front.check(&["heaps"]));
}

#[test]
fn a_million_blocks_go_with_their_heap() {
    BESIDE.iter().for_each(|front| front.check(&["heaps", "million"]));
}

#[test]
fn a_heap_is_small() {
    BESIDE.iter().for_each(|front| front.check(&["heaps", "many"]));
}

#[test]
fn children_use_the_heap_that_they_inherited() {
    Front::Heap.check(&["fork-storm"]);
    Front::Heap.check(&["fork-storm", "from-thread"]);
    Front::Heap.check(&["fork-shrinking"]);
    for way in ["_Fork", "clone", "clone3"] {
        let ended = run(Front::Heap.exercise(&["children", way]));
        ended.expect_success(&format!("children by {way}"));
        if String::from_utf8_lossy(&ended.stdout).contains("absent") {
            skip(&format!("this libc or kernel has no {way}"));
        }
    }
}

/// Linux before 4.14, and some emulators: who waits long for a lock finds out by the process's number.
#[test]
fn children_use_it_where_the_kernel_wipes_no_page() {
    let filter = Filter::refuse(Syscall::Other(libc::SYS_madvise), libc::EINVAL);
    for way in ["fork", "clone"] {
        let (mut command, filter) = (Front::Heap.exercise(&["children", way, "10"]), filter.clone());
        // SAFETY: `install` is async-signal-safe, and the filter was built before the fork.
        unsafe { command.pre_exec(move || filter.install()) };
        run(command).expect_success(&format!("children by {way}, without the page"));
    }
}

#[test]
fn null_is_honest_under_limits() {
    for what in ["as", "data"] {
        Front::Heap.check(&["limit", what]);
    }
}

fn ends(front: Front, kind: &str, word: &str) {
    let ended = program::run(front.exercise(&["wrong-heap", kind]));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(
        ended.status.signal(),
        Some(libc::SIGABRT),
        "{kind} on {front:?}: {} and {said:?}",
        ended.status
    );
    assert!(said.contains(word), "{kind} on {front:?}: {said:?} has no {word:?}");
}

#[test]
fn a_heap_refuses_what_is_not_its_own() {
    for front in Front::BOTH {
        for (kind, word) in [
            ("another-heaps", "no block of this heap: 0x"),
            ("another-heaps-large", "no block of this heap: 0x"),
            ("nobodys", "no block of this heap: 0x"),
            ("layout", "the block has another layout: 0x"),
            ("twice", "the block was freed: 0x"),
        ] {
            ends(front, kind, &format!("brkmap: Heap::dealloc(): {word}"));
        }
    }
}

#[test]
fn the_global_allocator_refuses_a_heaps_block() {
    for front in Front::BOTH {
        for kind in ["to-global", "to-global-large"] {
            ends(front, kind, "brkmap: free(): invalid pointer: 0x");
        }
    }
}
