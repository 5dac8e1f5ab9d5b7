//! A plugin as Rust programs have them: a C library to those who open it, inside a Rust program on brkmap.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

/// The sum of all numbers below `end`, by way of a vector.
#[unsafe(no_mangle)]
pub extern "C" fn sum_below(end: u64) -> u64 {
    let numbers: Vec<u64> = (0..end).collect();
    std::hint::black_box(&numbers).iter().sum()
}

/// The same by way of as many small blocks, one of 50 thousand bytes and one of a MiB.
#[unsafe(no_mangle)]
pub extern "C" fn work(end: u64) -> u64 {
    let boxes: Vec<Box<u64>> = (0..end).map(Box::new).collect();
    let others = std::hint::black_box([vec![1u8; 50_000], vec![1u8; 1 << 20]]);
    boxes.iter().map(|number| **number).sum::<u64>() + others.iter().map(|_| 0).sum::<u64>()
}

/// A block for whoever opened the plugin; null where there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn take(size: usize) -> *mut u8 {
    match Layout::from_size_align(size, 16) {
        // SAFETY: the layout is not empty.
        Ok(layout) if size > 0 => unsafe { alloc(layout) },
        _ => std::ptr::null_mut(),
    }
}

/// Takes a block back.
///
/// # Safety
/// It came from `take` of this size, and is given up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn give(block: *mut u8, size: usize) {
    // SAFETY: as the caller promises, the layout is that of `take`.
    unsafe { dealloc(block, Layout::from_size_align_unchecked(size, 16)) };
}

/// What the plugin keeps, and frees when it goes.
static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static USES_ITS_END: AtomicBool = AtomicBool::new(false);

/// From now on the plugin uses its memory while it is unloaded: in a function given to atexit, and in one of the
/// table that the loader goes through.
#[unsafe(no_mangle)]
pub extern "C" fn use_its_end() {
    USES_ITS_END.store(true, Ordering::Relaxed);
    fill(&mut KEPT.lock().expect("the plugin's own thread"));
    // SAFETY: libc calls the function before the library's code goes.
    assert_eq!(unsafe { libc::atexit(at_its_end) }, 0);
}

#[used]
#[unsafe(link_section = ".fini_array")]
static AT_ITS_END: extern "C" fn() = at_its_end;

/// Checks and frees what is kept, and as much again.
extern "C" fn at_its_end() {
    if says_that_it_came_first() {
        // What ended before it is used on by other threads.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    if !USES_ITS_END.load(Ordering::Relaxed) {
        return;
    }
    let mut kept = KEPT.lock().expect("the plugin's own thread");
    check_and_free(&mut kept);
    fill(&mut kept);
    assert_eq!(work(1000), 499_500);
    check_and_free(&mut kept);
}

fn fill(kept: &mut Vec<Vec<u8>>) {
    let sizes = [10, 100, 1000, 5000, 40_000, 200_000, 1 << 20];
    kept.extend((0..14).map(|at| vec![at as u8; sizes[at % sizes.len()]]));
}

/// Nothing stays, the table of the blocks neither: no destructor of Rust's would see to it.
fn check_and_free(kept: &mut Vec<Vec<u8>>) {
    for (at, bytes) in std::mem::take(kept).into_iter().enumerate() {
        assert!(bytes.iter().all(|&byte| byte == at as u8), "block {at} changed before its end");
    }
}

/// Where the environment says so the plugin works while it is loaded.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_ITS_START: extern "C" fn() = at_its_start;

extern "C" fn at_its_start() {
    if says_that_it_came_first() {
        assert_eq!(work(1000), 499_500);
    }
}

fn says_that_it_came_first() -> bool {
    // SAFETY: reads the environment, which nobody changes meanwhile.
    !unsafe { libc::getenv(c"PLUGIN_COMES_WITH_THE_PROGRAM".as_ptr()) }.is_null()
}

thread_local! {
    static OF_A_THREAD: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Leaves blocks to the calling thread's end. While such a thread is there the loader keeps the plugin.
#[unsafe(no_mangle)]
pub extern "C" fn leave_to_the_thread() {
    OF_A_THREAD.with_borrow_mut(fill);
}
