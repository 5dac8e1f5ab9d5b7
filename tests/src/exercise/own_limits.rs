//! Limits that a program sets, raises, or runs into by its own doing.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::null_mut;

use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::limits::get_or_enomem;
use super::{KIB, MIB, get, put, put_chain, touch};
use crate::measure;

pub fn main<A: GlobalAlloc + Sync>(alloc: &'static A, words: &[&str]) {
    match words {
        ["raised"] => raised(alloc),
        ["set", mib] => set(alloc, super::number(mib) * MIB),
        ["lock-all"] => lock_all(alloc),
        _ => panic!("no scenario of a limit of its own {words:?}"),
    }
}

/// Started under a small limit of address space, which it raises as far as it may: then there is all of that.
fn raised<A: GlobalAlloc>(alloc: &A) {
    const SIZE: usize = 1000;
    let block = get(alloc, SIZE);
    let (soft, hard) = getrlimit(Resource::RLIMIT_AS).expect("its own limit");
    assert!(soft < hard, "started without a limit to raise");
    setrlimit(Resource::RLIMIT_AS, hard, hard).expect("up to the hard limit");
    // SAFETY: got above, given up here.
    unsafe { put(alloc, block, SIZE) };
    for at in 0..(2048 * MIB) / SIZE {
        assert!(!get(alloc, SIZE).is_null(), "no memory behind {} MiB", at * SIZE / MIB);
    }
}

/// It limits its own addresses, and asks for what there is room for.
fn set<A: GlobalAlloc + Sync>(alloc: &'static A, limit: usize) {
    let block = get(alloc, 10);
    setrlimit(Resource::RLIMIT_AS, limit as libc::rlim_t, limit as libc::rlim_t).expect("a lower limit");
    // SAFETY: got above, given up here.
    unsafe { put(alloc, block, 10) };
    for (size, total) in [(1000, 100_000_000), (60_000, 60_000_000), (MIB, 100 * MIB)] {
        for at in 0..total / size {
            let block = get(alloc, size);
            assert!(!block.is_null(), "no memory behind {at} blocks of {size} bytes");
            // SAFETY: live and of this size.
            unsafe { touch(block, size) };
        }
    }
    let thread = std::thread::Builder::new().spawn(|| get(alloc, 100).expose_provenance());
    assert_ne!(thread.expect("a thread").join().expect("the thread"), 0, "nothing for a thread");
}

fn lock_what_is_and_comes() {
    let all = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE;
    mlockall(all).expect("mlockall");
}

/// A program that locks what it has and will have, works, and frees. Prints the bytes that were locked when it was
/// full, and when it had freed all.
fn lock_all<A: GlobalAlloc>(alloc: &A) {
    const SIZE: usize = 1000;
    lock_what_is_and_comes();
    let before = measure::resident();
    let mut last: *mut u8 = null_mut();
    for _ in 0..300 * MIB / SIZE {
        let block = get(alloc, SIZE);
        assert!(!block.is_null());
        // SAFETY: live and of this size; the blocks are chained through themselves.
        unsafe {
            block.write_bytes(1, SIZE);
            block.cast::<*mut u8>().write(last);
        }
        last = block;
    }
    let full = measure::locked();
    // SAFETY: the chain written above.
    unsafe { put_chain(alloc, last, SIZE) };
    let (freed, more) = (measure::locked(), measure::resident().saturating_sub(before));
    assert!(full >= 300 * MIB, "{} MiB are locked: this test measures nothing", full / MIB);
    assert!(more <= 64 * MIB, "{} MiB are resident after all was freed", more / MIB);
    zero_again(alloc);
    println!("{full} {freed}");
}

/// Zeroed memory is zero, though what is locked cannot be given back as other memory is.
fn zero_again<A: GlobalAlloc>(alloc: &A) {
    for size in [1000, 40 * KIB, 300 * KIB, 3 * MIB] {
        for _ in 0..100 {
            let layout = Layout::from_size_align(size, 8).expect("sizes here are small");
            // SAFETY: the size is not zero; all of the block is written by the allocator or the kernel.
            unsafe {
                let block = std::hint::black_box(alloc.alloc_zeroed(layout));
                assert!(!block.is_null());
                let bytes = std::slice::from_raw_parts_mut(block, size);
                assert!(bytes.iter().all(|byte| *byte == 0), "{size} zeroed bytes are not all zero");
                bytes.fill(3);
                alloc.dealloc(block, layout);
            }
        }
    }
}

/// The same under a limit of locked memory, which it runs into twice. Prints the bytes that it got.
pub fn lock_until_refused<A: GlobalAlloc>(alloc: &A) {
    const SIZE: usize = 1000;
    lock_what_is_and_comes();
    let fill = || {
        let (mut last, mut got): (*mut u8, usize) = (null_mut(), 0);
        while got < 64 * MIB {
            let Some(block) = get_or_enomem(alloc, SIZE) else { break };
            // SAFETY: live, and long enough for a pointer.
            unsafe { block.cast::<*mut u8>().write(last) };
            last = block;
            got += SIZE;
        }
        // SAFETY: the chain written above.
        unsafe { put_chain(alloc, last, SIZE) };
        got
    };
    let (first, again) = (fill(), fill());
    assert!(again >= first - first / 8, "{first} bytes, and then {again}");
    println!("{first}");
}
