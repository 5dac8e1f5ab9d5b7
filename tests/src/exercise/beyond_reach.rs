//! Requests that no memory can hold: refused, and nothing is given back for them.

use std::alloc::{GlobalAlloc, Layout};

use nix::sys::resource::{Resource, setrlimit};

use super::c_api::{errno, posix_memalign, set_errno};
use super::{KIB, MIB, get, put, touch};
use crate::measure;

/// Small blocks that are freed, and one large one: what an allocator keeps at hand.
const SMALL: usize = 8000;
const COUNT: usize = 100;
const LARGE: usize = 3 * MIB;
const MEDIUM: usize = 50_000;

/// Takes as much as is at hand, touches it, and frees it: how many pages had to be faulted in.
fn use_what_is_at_hand<A: GlobalAlloc>(alloc: &A) -> usize {
    let mut blocks = [std::ptr::null_mut(); COUNT];
    let before = measure::minor_faults();
    for block in &mut blocks {
        *block = get(alloc, SMALL);
        assert!(!block.is_null());
        // SAFETY: live and of this size.
        unsafe { touch(*block, SMALL) };
    }
    let large = get(alloc, LARGE);
    assert!(!large.is_null());
    // SAFETY: as above; all are freed once.
    unsafe {
        touch(large, LARGE);
        put(alloc, large, LARGE);
        blocks.into_iter().for_each(|block| put(alloc, block, SMALL));
    }
    measure::minor_faults() - before
}

/// Asks for `size` bytes in every way there is, which must all be refused.
fn ask<A: GlobalAlloc>(alloc: &A, size: usize) {
    let layout = |align| Layout::from_size_align(size, align).expect("less than half of all addresses");
    for align in [8, 64, 4096, 2 * MIB] {
        if size > isize::MAX as usize - align {
            continue;
        }
        // SAFETY: no size is zero.
        let got = unsafe { [alloc.alloc(layout(align)), alloc.alloc_zeroed(layout(align))] };
        assert!(std::hint::black_box(got).iter().all(|block| block.is_null()), "{size} bytes at {align}");
    }
    for old in [100, 5000, MEDIUM, 300 * KIB] {
        let block = get(alloc, old);
        // SAFETY: a live block of `old` bytes, which a refused realloc leaves as it is.
        unsafe {
            block.write_bytes(7, old);
            let grown = alloc.realloc(block, Layout::from_size_align(old, 8).expect("a layout"), size);
            assert!(std::hint::black_box(grown).is_null(), "{old} bytes became {size}");
            assert!(std::slice::from_raw_parts(block, old).iter().all(|byte| *byte == 7));
            put(alloc, block, old);
        }
    }
}

/// Of what is at hand, what may be missing later.
const FEW: usize = 40;

/// Leaves something at hand, of the medium block that is asked for between too.
fn work<A: GlobalAlloc>(alloc: &A) {
    let medium = get(alloc, MEDIUM);
    // SAFETY: got above, of this size, and given up.
    unsafe { put(alloc, medium, MEDIUM) };
    let (first, again) = (use_what_is_at_hand(alloc), use_what_is_at_hand(alloc));
    assert!(first > 10 * FEW && again < FEW, "{first} faults, then {again}: nothing is kept");
}

/// Asks for each size. What was at hand before is at hand after it.
fn refuse<A: GlobalAlloc>(alloc: &A, sizes: &[usize]) {
    for size in sizes {
        ask(alloc, *size);
        let faults = use_what_is_at_hand(alloc);
        assert!(faults < FEW, "{faults} faults after requests for {size} bytes were refused");
    }
}

pub fn of_addresses<A: GlobalAlloc>(alloc: &A) {
    work(alloc);
    // x86-64 has 2^47 bytes of addresses for a program, aarch64 up to 2^48.
    refuse(
        alloc,
        &[1 << 49, 1 << 50, 1 << 55, (1 << 62) - 4096, isize::MAX as usize - 4096, isize::MAX as usize - 8],
    );
    let mode = std::fs::read("/proc/sys/vm/overcommit_memory").expect("the kernel's mode");
    if mode != b"1\n" {
        // More than there is memory, which the kernel refuses too.
        // SAFETY: all-zero bytes are a valid `sysinfo`, and one is written.
        let system = unsafe {
            let mut system: libc::sysinfo = std::mem::zeroed();
            assert_eq!(libc::sysinfo(&mut system), 0);
            system
        };
        let all = (system.totalram + system.totalswap) as usize * system.mem_unit as usize;
        refuse(alloc, &[all + all / 8, 8 * all, 1 << 46]);
    }
}

/// Above what a limit of addresses leaves to the process in all.
pub fn of_the_limit<A: GlobalAlloc>(alloc: &A) {
    work(alloc);
    let limit = measure::address_space() + 256 * MIB;
    setrlimit(Resource::RLIMIT_AS, limit as libc::rlim_t, limit as libc::rlim_t)
        .expect("a lower limit is allowed");
    refuse(alloc, &[limit + 1, 2 * limit, 100 * limit]);
}

/// At a limit `posix_memalign` says so by its result alone: errno and the caller's pointer stay as they were.
pub fn errno_stays() {
    let sentinel = std::ptr::without_provenance_mut(0x1234);
    // The process's first request, and each later one.
    let limit = (measure::address_space() + 64 * MIB) as libc::rlim_t;
    setrlimit(Resource::RLIMIT_AS, limit, limit).expect("a lower limit is allowed");
    for size in [10 * MIB, MIB, 200 * KIB, 40 * KIB, 5000, 100] {
        for align in [8, 64, 4096] {
            loop {
                let mut block = sentinel;
                set_errno(1234);
                // SAFETY: the pointer is writable. What is got is not freed: it holds the memory.
                let error = unsafe { posix_memalign(&mut block, align, size) };
                assert_eq!(errno(), 1234, "{size} at {align}: {error}");
                if error != 0 {
                    assert_eq!((error, block), (libc::ENOMEM, sentinel), "{size} at {align}");
                    break;
                }
            }
        }
    }
}
