//! Requests between marks: which calls they become is judged from the tracer's log.

use std::alloc::GlobalAlloc;

use super::{KIB, MIB, c_api, get, layout, put, touch};
use crate::calls::{begin, end};
use crate::measure;

/// Many requests for ten bytes: more than any first step of the break holds.
const SMALL: usize = 4 * MIB / 16;

pub fn small<A: GlobalAlloc>(alloc: &A) {
    begin("small");
    let last = many_small(alloc);
    end("small");
    let top = measure::real_break();
    assert!(last.addr() < top && top - last.addr() < 64 * MIB, "{last:p} is not below the break at {top:#x}");
}

fn many_small<A: GlobalAlloc>(alloc: &A) -> *mut u8 {
    let mut last = std::ptr::null_mut();
    for _ in 0..SMALL {
        last = get(alloc, 10);
        assert!(!last.is_null());
    }
    last
}

/// The first request for 10 MiB, the second, a free and a third: to the kernel each is the same.
pub fn large<A: GlobalAlloc>(alloc: &A) {
    let first = marked(alloc, 10 * MIB, "first");
    marked(alloc, 10 * MIB, "second");
    begin("free");
    // SAFETY: got above, given up here.
    unsafe { put(alloc, first, 10 * MIB) };
    end("free");
    marked(alloc, 10 * MIB, "third");
}

fn marked<A: GlobalAlloc>(alloc: &A, size: usize, label: &str) -> *mut u8 {
    begin(label);
    let block = get(alloc, size);
    end(label);
    assert!(!block.is_null());
    block
}

/// Small and large requests of threads other than the first.
pub fn threads<A: GlobalAlloc + Sync>(alloc: &'static A) {
    for _ in 0..2 {
        let thread = std::thread::spawn(|| {
            // The thread's own start is not what is asked about.
            get(alloc, 10);
            begin("thread-small");
            many_small(alloc);
            end("thread-small");
            marked(alloc, 10 * MIB, "thread-large");
            marked(alloc, 10 * MIB, "thread-large");
        });
        thread.join().expect("the thread");
    }
    marked(alloc, 10 * MIB, "main-large");
}

/// One byte below the threshold and at it, several times: the choice follows the size, not the history.
pub fn threshold<A: GlobalAlloc>(alloc: &A, bytes: usize) {
    for _ in 0..4 {
        marked(alloc, bytes - 1, "below");
        let freed = marked(alloc, bytes, "at");
        // glibc would raise its threshold at this free.
        // SAFETY: got above, given up here.
        unsafe { put(alloc, freed, bytes) };
        // More than any cache of freed mappings keeps for a process this small.
        let large = get(alloc, 32 * MIB);
        // SAFETY: got above, given up here.
        unsafe { put(alloc, large, 32 * MIB) };
        marked(alloc, bytes, "at-again");
    }
}

/// The same after M_MMAP_THRESHOLD was set.
pub fn mallopt<A: GlobalAlloc>(alloc: &A, bytes: usize) {
    // SAFETY: sets a number.
    let accepted = unsafe { c_api::mallopt(c_api::M_MMAP_THRESHOLD, bytes as i32) };
    assert_eq!(accepted, 1, "mallopt refused a threshold of {bytes}");
    threshold(alloc, bytes);
}

/// Growth of a mapped block, its content kept.
pub fn realloc<A: GlobalAlloc>(alloc: &A) {
    let mut block = get(alloc, 10 * MIB);
    // SAFETY: live and of this size.
    unsafe { touch(block, 10 * MIB) };
    for (label, from, to) in [("grow", 10 * MIB, 20 * MIB), ("grow-on", 20 * MIB, 64 * MIB)] {
        begin(label);
        // SAFETY: the block is live and of the size `from`.
        block = unsafe { alloc.realloc(block, layout(from), to) };
        end(label);
        assert!(!block.is_null());
        for at in (0..10 * MIB).step_by(4 * KIB) {
            // SAFETY: within the block.
            assert_eq!(unsafe { block.add(at).read() }, at as u8, "byte {at} was lost");
        }
    }
}

/// Fresh zeroed memory is not written to: the kernel's pages are zero as they come.
pub fn zeroed<A: GlobalAlloc>(alloc: &A) {
    let size = 64 * MIB;
    let before = measure::minor_faults();
    // SAFETY: the size is not zero.
    let block = std::hint::black_box(unsafe { alloc.alloc_zeroed(layout(size)) });
    let faults = measure::minor_faults() - before;
    assert!(!block.is_null());
    // A handful for the allocator's own records; a memset would make thousands, or 32 with huge pages.
    assert!(faults <= 16, "{faults} page faults for {size} zeroed bytes nobody has read");
    for at in (0..size).step_by(4 * KIB) {
        // SAFETY: within the block.
        assert_eq!(unsafe { block.add(at).read() }, 0);
    }
    // And what comes back dirty goes out clean, at every size.
    for size in [10, 1000, 5000, 40 * KIB, 127 * KIB, 128 * KIB, MIB, 3 * MIB] {
        for _ in 0..50 {
            let dirty = get(alloc, size);
            // SAFETY: live and of this size, and then given up.
            unsafe {
                dirty.write_bytes(0xff, size);
                put(alloc, dirty, size);
            }
            // SAFETY: the size is not zero.
            let block = std::hint::black_box(unsafe { alloc.alloc_zeroed(layout(size)) });
            // SAFETY: live, of this size, all of it written by the allocator or the kernel.
            let bytes = unsafe { std::slice::from_raw_parts(block, size) };
            assert!(bytes.iter().all(|byte| *byte == 0), "{size} bytes from alloc_zeroed are not all zero");
            // SAFETY: got above, given up here.
            unsafe { put(alloc, block, size) };
        }
    }
}
