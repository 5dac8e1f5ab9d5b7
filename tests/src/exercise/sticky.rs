//! A large block whose pages its owner locked, protected or gave an advice about, and freed as they were.

use std::alloc::{GlobalAlloc, Layout};

use super::KIB;
use crate::measure;

/// Rounds: the next owner may get another mapping in one of them, hardly in all.
const ROUNDS: usize = 6;

pub fn main<A: GlobalAlloc>(alloc: &A, what: &str) {
    for size in [128 * KIB, 300 * KIB, 1000 * KIB + 1, 5000 * KIB] {
        for align in [8, 4096, 65_536] {
            let layout = Layout::from_size_align(size, align).expect("sizes here are small");
            for whole in [true, false] {
                (0..ROUNDS).for_each(|_| round(alloc, what, layout, whole));
            }
        }
    }
}

/// A block, something done to it or to a page in its middle, and the next owner of one.
fn round<A: GlobalAlloc>(alloc: &A, what: &str, layout: Layout, whole: bool) {
    let block = take(alloc, layout, 1);
    let page = measure::page_size();
    // Whole pages of the block only: what is around them is not the owner's.
    let first = block.addr().next_multiple_of(page);
    let end = (block.addr() + layout.size()) / page * page;
    let (at, len) =
        if whole { (first, end - first) } else { (first + (end - first) / page / 2 * page, page) };
    make_odd(what, block.with_addr(at), len);
    // SAFETY: got above, given up here, in whatever state its pages are.
    unsafe { alloc.dealloc(block, layout) };
    let before = (what == "lock").then(measure::locked);
    let next = take(alloc, layout, 7);
    assert_eq!(before.unwrap_or(0), 0, "bytes are locked after the free of {layout:?}");
    assert_eq!(measure::locked(), 0, "the next owner of {layout:?} has locked pages");
    if matches!(what, "not-in-a-fork" | "wiped-in-a-fork") {
        assert_in_a_fork(next, layout, 7);
    }
    // SAFETY: got above, given up here.
    unsafe { alloc.dealloc(next, layout) };
}

fn take<A: GlobalAlloc>(alloc: &A, layout: Layout, fill: u8) -> *mut u8 {
    // SAFETY: the layout is not empty; all of the block is written.
    unsafe {
        let block = std::hint::black_box(alloc.alloc(layout));
        assert!(!block.is_null() && block.addr().is_multiple_of(layout.align()));
        block.write_bytes(fill, layout.size());
        block
    }
}

fn make_odd(what: &str, at: *mut u8, len: usize) {
    let at = at.cast();
    // SAFETY: whole pages of a block that nobody uses until it is freed.
    let done = unsafe {
        match what {
            "read-only" => libc::mprotect(at, len, libc::PROT_READ),
            "no-access" => libc::mprotect(at, len, libc::PROT_NONE),
            "not-in-a-fork" => libc::madvise(at, len, libc::MADV_DONTFORK),
            "wiped-in-a-fork" => libc::madvise(at, len, libc::MADV_WIPEONFORK),
            "lock" => libc::mlock(at, len),
            _ => panic!("nothing is called {what}"),
        }
    };
    assert_eq!(done, 0, "{what}: {}", std::io::Error::last_os_error());
}

/// A fork's child has the block with its bytes.
fn assert_in_a_fork(block: *mut u8, layout: Layout, fill: u8) {
    // SAFETY: the child reads memory, and leaves by _exit.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        // SAFETY: live and of this size, if the child has it; then the child ends.
        unsafe {
            let same = std::slice::from_raw_parts(block, layout.size()).iter().all(|byte| *byte == fill);
            libc::_exit(i32::from(!same));
        }
    }
    let mut status = -1;
    // SAFETY: the child made above.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "a fork's child lacks the block of {layout:?}");
}
