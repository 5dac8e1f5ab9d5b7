//! A process that had many threads forks again and again; each child allocates a little and ends.
#![allow(unsafe_code)]

use std::sync::{Arc, Barrier};
use std::thread;

use super::{Plan, block, mix};

const THREADS: usize = 200;
const STACK: usize = 64 << 10;
const LIVE: usize = 2000;

pub fn run(plan: Plan) -> u64 {
    // All at once, so that an allocator cannot give one's memory to the next.
    let together = Arc::new(Barrier::new(THREADS));
    let begin = |number: usize| {
        let together = Arc::clone(&together);
        let work = move || {
            let kept = block(100 + number, number as u8);
            together.wait();
            kept
        };
        thread::Builder::new().stack_size(STACK).spawn(work).expect("a thread starts")
    };
    let threads: Vec<_> = (0..THREADS).map(begin).collect();
    let mut kept: Vec<Vec<u8>> =
        threads.into_iter().map(|thread| thread.join().expect("a thread ends")).collect();
    kept.extend((0..LIVE).map(|at| block(16 + at, at as u8)));
    let mut sum = kept.iter().fold(0, |sum, block| mix(sum, u64::from(block[0])));
    for round in 0..plan.times(800) {
        sum = mix(sum, child(round as u8));
    }
    sum
}

/// What a child ends with: a byte of a block that it allocated.
fn child(tag: u8) -> u64 {
    // SAFETY: the child allocates, which is what this is about, and ends at once; it takes no lock and runs no
    // destructor of this process.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = block(64, tag & 0x7f)[0];
        // SAFETY: ends the child without running the parent's exit handlers.
        unsafe { libc::_exit(i32::from(code)) };
    }
    let mut status = 0;
    // SAFETY: waitpid writes the status to the one place given; after a fork that failed it finds no child.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert!(waited > 0 && libc::WIFEXITED(status), "a child ended with status {status:#x}");
    libc::WEXITSTATUS(status) as u64
}
