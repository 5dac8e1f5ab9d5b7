//! The numbers that the kernel has for the process and for its threads.
#![forbid(unsafe_code)]

use rustix::process::Pid;

/// The calling process's (getpid(2)).
pub fn process() -> u32 {
    raw(rustix::process::getpid())
}

/// The calling thread's (gettid(2)).
pub fn thread() -> u32 {
    raw(rustix::thread::gettid())
}

fn raw(number: Pid) -> u32 {
    number.as_raw_nonzero().get() as u32
}
