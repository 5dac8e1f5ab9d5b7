//! The background thread: what lies unused goes back by itself, and the thread is nobody's trouble.

use std::alloc::GlobalAlloc;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::fork::wait_for;
use super::{KIB, MIB, get, put, touch};
use crate::measure;
use crate::table::Table;

/// Less than what may always stay dirty: without a thread none of it goes.
const BYTES: usize = 6 * MIB;
const BLOCK: usize = 100 * KIB;

/// No measure of speed: what takes this long never comes.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn main<A: GlobalAlloc>(alloc: &A, words: &[&str]) {
    match words {
        ["idle"] => idle(alloc),
        ["stays"] => stays(alloc),
        ["fork"] => fork(alloc),
        ["pressure"] => pressure(alloc),
        _ => panic!("no scenario {words:?}"),
    }
}

/// Takes memory and frees it. What is resident before and after.
fn churn<A: GlobalAlloc>(alloc: &A) -> (usize, usize) {
    let before = measure::resident();
    let mut blocks = Table::<*mut u8>::new(BYTES / BLOCK);
    for block in blocks.iter_mut() {
        *block = get(alloc, BLOCK);
        // SAFETY: live and of this size.
        unsafe { touch(*block, BLOCK) };
    }
    for block in blocks.iter() {
        // SAFETY: got above, given up here.
        unsafe { put(alloc, *block, BLOCK) };
    }
    (before, measure::resident())
}

/// Whether what was freed is resident no more.
fn went(before: usize) -> bool {
    measure::resident() < before + 2 * MIB
}

fn comes(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The file with the status of the background thread.
fn status() -> Option<PathBuf> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("tasks");
    let is_it = |path: &PathBuf| std::fs::read(path.join("comm")).is_ok_and(|name| name == b"brkmap\n");
    tasks.flatten().map(|task| task.path()).find(is_it).map(|path| path.join("status"))
}

/// A number of that status, read without an allocation: it might wake the thread.
fn number_in(status: &Path, name: &[u8], radix: u32) -> u64 {
    let mut bytes = [0; 4096];
    let mut file = std::fs::File::open(status).expect("the thread");
    let read = file.read(&mut bytes).expect("its status");
    let line = bytes[..read].split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name));
    let digits = line.expect("a line of the status").trim_ascii();
    u64::from_str_radix(std::str::from_utf8(digits).expect("digits"), radix).expect("a number")
}

/// Freed memory goes, and then the thread sleeps, whatever signals come.
fn idle<A: GlobalAlloc>(alloc: &A) {
    for round in 0..3 {
        let (before, after) = churn(alloc);
        assert!(
            after > before + 3 * MIB || round > 0,
            "{after}, {before} before: nothing stays, so nothing is shown"
        );
        comes("what lies unused goes back", || went(before));
    }
    let status = status().expect("the thread");
    let switches = || number_in(&status, b"voluntary_ctxt_switches:", 10);
    // Its last look at what is dirty may be under way.
    comes("it sleeps", || {
        let before = switches();
        std::thread::sleep(Duration::from_millis(500));
        switches() == before
    });
    let blocked = number_in(&status, b"SigBlk:", 16);
    for signal in 1..32 {
        let never = [libc::SIGKILL, libc::SIGSTOP].contains(&signal);
        assert!(never || blocked >> (signal - 1) & 1 == 1, "signal {signal} is not blocked: {blocked:x}");
    }
}

/// Where no time is set, or no thread is wanted, what may stay stays.
fn stays<A: GlobalAlloc>(alloc: &A) {
    let (before, after) = churn(alloc);
    std::thread::sleep(Duration::from_millis(500));
    assert!(!went(before) && after > before + 3 * MIB, "{after} were resident, {} are", measure::resident());
}

/// A child has a thread of its own from its first slow path on, and ends as any other.
fn fork<A: GlobalAlloc>(alloc: &A) {
    churn(alloc);
    comes("the thread is there", || status().is_some());
    // SAFETY: the child ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let (before, _) = churn(alloc);
        comes("the child's memory goes back", || went(before));
        // What its first slow path gives back may be all, before the thread is there.
        comes("the child has its own thread", || status().is_some());
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    wait_for(child, 0);
    comes("the parent's goes on", || status().is_some());
}

/// The kernel says that memory is short: everything goes, long before its time.
fn pressure<A: GlobalAlloc>(alloc: &A) {
    let (before, after) = churn(alloc);
    assert!(after > before + 3 * MIB, "nothing stays, so nothing is shown");
    comes("the thread is there", || status().is_some());
    std::thread::sleep(Duration::from_millis(300));
    assert!(!went(before), "it went without being asked for");
    comes("everything goes", || {
        // The file that is looked at lists what is mounted: it changes by this.
        let (kind, target) = (c"tmpfs".as_ptr(), c"/mnt".as_ptr());
        // SAFETY: the strings end with a NUL.
        let done = unsafe { libc::mount(kind, target, kind, 0, std::ptr::null()) };
        assert_eq!(done, 0, "mount: {}", std::io::Error::last_os_error());
        std::thread::sleep(Duration::from_millis(100));
        went(before)
    });
}
