//! Forks of a threaded program in the middle of its requests.

use std::alloc::GlobalAlloc;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{KIB, MIB, get, put, put_chain};
use crate::random::Random;
use crate::soak;

/// Forks in the middle of others' requests.
pub(super) fn forks() -> usize {
    soak::rounds(100, 2000)
}

const SLOTS: usize = 512;

/// Blocks anyone may take: at every instant each holds a live block of its size, so also at a fork.
static SHARED: [AtomicUsize; SLOTS] = [const { AtomicUsize::new(0) }; SLOTS];

fn size_of(slot: usize) -> usize {
    // All kinds: slabs, spans, and every 64th a mapping.
    match slot % 64 {
        0 => 200 * KIB,
        1..=8 => 9 * KIB * (slot % 64),
        small => 16 + small * 31,
    }
}

fn seal(block: usize) -> usize {
    block ^ 0x5aa5_5aa5
}

/// A block of the size that goes with a slot.
pub(super) fn new<A: GlobalAlloc>(alloc: &A, slot: usize) -> usize {
    let block = get(alloc, size_of(slot));
    assert!(!block.is_null());
    let address = block.expose_provenance();
    // SAFETY: live, at least 16 bytes, aligned for a word.
    unsafe { block.cast::<usize>().write(seal(address)) };
    address
}

pub(super) fn check_and_put<A: GlobalAlloc>(alloc: &A, slot: usize, address: usize) {
    let block = std::ptr::with_exposed_provenance_mut::<u8>(address);
    // SAFETY: the swap that took the block out of its slot made it ours alone; `new` wrote the word.
    unsafe {
        assert_eq!(block.cast::<usize>().read(), seal(address), "a shared block lost its content");
        put(alloc, block, size_of(slot));
    }
}

/// Forks again and again while other threads allocate, free and use stdio; every child goes through all it
/// inherited.
pub fn storm<A: GlobalAlloc + Sync>(alloc: &'static A, from_thread: bool) {
    fill_shared(alloc);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 0..3 {
            let stop = &stop;
            scope.spawn(move || replace_blocks(alloc, seed, stop));
        }
        for _ in 0..2 {
            scope.spawn(|| use_stdio(&stop));
        }
        let forks = || (0..forks()).for_each(|turn| fork_one(alloc, turn));
        if from_thread {
            scope.spawn(forks).join().expect("the forking thread");
        } else {
            forks();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Puts a block into each slot, for `replace_blocks`.
pub(super) fn fill_shared<A: GlobalAlloc>(alloc: &A) {
    for (slot, shared) in SHARED.iter().enumerate() {
        shared.store(new(alloc, slot), Ordering::Release);
    }
}

/// What a thread does until it is to stop.
pub(super) fn replace_blocks<A: GlobalAlloc>(alloc: &A, seed: u64, stop: &AtomicBool) {
    let mut random = Random::new(seed);
    while !stop.load(Ordering::Relaxed) {
        let slot = random.below(SLOTS);
        let old = SHARED[slot].swap(new(alloc, slot), Ordering::AcqRel);
        check_and_put(alloc, slot, old);
    }
}

/// libc's stdio holds its locks while it asks for memory, and fork takes those locks: an allocator that
/// holds a lock of its own across that deadlocks here.
fn use_stdio(stop: &AtomicBool) {
    const LINE: &CStr = c"a line that is longer than nothing\n";
    while !stop.load(Ordering::Relaxed) {
        // SAFETY: libc's stdio used as it asks: the file is open until fclose, the line is freed once.
        unsafe {
            let file = libc::tmpfile();
            assert!(!file.is_null());
            for _ in 0..20 {
                libc::fputs(LINE.as_ptr(), file);
            }
            libc::rewind(file);
            for _ in 0..20 {
                let (mut line, mut len) = (std::ptr::null_mut(), 0);
                assert!(libc::getline(&mut line, &mut len, file) > 0);
                libc::free(line.cast());
            }
            libc::fclose(file);
        }
    }
}

/// Forks while another thread makes the arena grow and shrink without a pause: what the child takes for the
/// arena's has to be there, though the fork came between the kernel's step and the allocator's note of it.
pub fn while_shrinking<A: GlobalAlloc + Sync>(alloc: &'static A) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Twice as much as may stay: the rest goes back at each free.
                fill_and_free(alloc, 16 * MIB);
            }
        });
        for turn in 0..forks() {
            fork_and(turn, || fill_and_free(alloc, 24 * MIB));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Spans, written to at both ends.
fn fill_and_free<A: GlobalAlloc>(alloc: &A, bytes: usize) {
    const SIZE: usize = 100 * KIB;
    let mut last: *mut u8 = std::ptr::null_mut();
    for _ in 0..bytes / SIZE {
        let block = get(alloc, SIZE);
        assert!(!block.is_null());
        // SAFETY: live and of this size; the blocks are chained through themselves.
        unsafe {
            block.cast::<*mut u8>().write(last);
            block.add(SIZE - 1).write(1);
        }
        last = block;
    }
    // SAFETY: the chain written above.
    unsafe { put_chain(alloc, last, SIZE) };
}

fn fork_one<A: GlobalAlloc + Sync>(alloc: &'static A, turn: usize) {
    fork_and(turn, || in_child(alloc, turn));
}

/// Forks a child that does `work`, and waits for it.
pub(super) fn fork_and(turn: usize, work: impl FnOnce()) {
    // SAFETY: the child does only what is promised to work there (allocate, free), and leaves by _exit.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        // SAFETY: only sets a timer; the signal's default action ends the process.
        unsafe { libc::alarm(240) };
        work();
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    wait_for(child, turn);
}

/// Waits for a child's end, which is to be a good one.
pub(super) fn wait_for(child: libc::pid_t, turn: usize) {
    let mut status = 0;
    // SAFETY: writes the status of our own child.
    let ended = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(ended, child);
    assert!(
        !(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGALRM),
        "the child of fork {turn} hangs: a lock it inherited will never be opened"
    );
    assert_eq!(status, 0, "the child of fork {turn} failed");
}

fn in_child<A: GlobalAlloc + Sync>(alloc: &'static A, turn: usize) {
    for (slot, shared) in SHARED.iter().enumerate() {
        check_and_put(alloc, slot, shared.swap(0, Ordering::AcqRel));
    }
    fill_shared(alloc);
    match turn % 8 {
        // A thread of the child meets what the threads of the parent left.
        0 => crate::shadow::storm(alloc, 2, 500, turn as u64),
        // A child may fork as well.
        1 => fork_one(alloc, 2),
        _ => {}
    }
    for (slot, shared) in SHARED.iter().enumerate() {
        check_and_put(alloc, slot, shared.swap(0, Ordering::AcqRel));
    }
}
