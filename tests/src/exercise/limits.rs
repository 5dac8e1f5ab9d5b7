//! When the system refuses memory, or somebody else moves the break.

use std::alloc::GlobalAlloc;

use nix::sys::resource::{Resource, setrlimit};

use super::{KIB, MIB, get, put, touch};
use crate::measure;
use crate::shadow;
use crate::table::Table;

/// How much is left to the program before the limit.
const LEFT: usize = 64 * MIB;

/// Runs into a limit with blocks of one size, then gives them all back. Twice, so that the second time
/// shows that everything works again.
pub fn refused<A: GlobalAlloc + Sync>(alloc: &'static A, resource: Resource) {
    let used = if resource == Resource::RLIMIT_AS { measure::address_space() } else { measure::data() };
    let limit = (used + LEFT) as libc::rlim_t;
    setrlimit(resource, limit, limit).expect("a lower limit is always allowed");
    for size in [10 * MIB, MIB, 40 * KIB, KIB, 16] {
        for _ in 0..2 {
            let got = fill(alloc, size);
            assert!(
                got <= 2 * LEFT,
                "{got} bytes were given out in blocks of {size}: the limit was not reached"
            );
            // An eighth: even with all of an earlier size's memory kept for reuse, this much must come.
            assert!(got >= LEFT / 8, "only {got} bytes in blocks of {size} before the limit");
        }
    }
    shadow::storm(alloc, 1, 20_000, 4);
}

/// Allocates until there is no more, checks how that was said, frees everything. Gives the bytes it got.
fn fill<A: GlobalAlloc>(alloc: &A, size: usize) -> usize {
    let mut last: *mut u8 = std::ptr::null_mut();
    let mut got = 0;
    while got <= 2 * LEFT {
        // SAFETY: this thread's own errno.
        unsafe { *libc::__errno_location() = 0 };
        let block = get(alloc, size);
        if block.is_null() {
            // SAFETY: as above.
            let errno = unsafe { *libc::__errno_location() };
            assert_eq!(errno, libc::ENOMEM, "no memory for {size} bytes, and errno is {errno}");
            break;
        }
        // The blocks are chained through themselves: there is no memory for a list.
        // SAFETY: live, at least 16 bytes and aligned for a pointer.
        unsafe { block.cast::<*mut u8>().write(last) };
        last = block;
        got += size;
    }
    while !last.is_null() {
        // SAFETY: the chain written above; each block is read before it is given up.
        unsafe {
            let next = last.cast::<*mut u8>().read();
            put(alloc, last, size);
            last = next;
        }
    }
    got
}

/// The program moves the break itself, between its requests: what it got stays its own.
pub fn foreign_sbrk<A: GlobalAlloc>(alloc: &A) {
    const ROUNDS: usize = 200;
    let mut own = Table::<*mut u8>::new(ROUNDS);
    let mut lens = Table::<usize>::new(ROUNDS);
    let mut blocks = Table::<*mut u8>::new(ROUNDS * 64);
    let mut random = crate::random::Random::new(5);
    let mut given = 0;
    for round in 0..ROUNDS {
        let len = random.between(1, 3 * 4096) & !15;
        // SAFETY: takes new memory at the break.
        let start = unsafe { libc::sbrk(len as libc::intptr_t) };
        // Refusing is allowed, as long as it says so; both at once (memory that is not the program's) is not.
        if start as isize != -1 {
            given += 1;
            (own[round], lens[round]) = (start.cast(), len);
            // SAFETY: `len` bytes that sbrk has just given.
            unsafe { own[round].write_bytes(0xa5, len) };
        }
        for at in 0..64 {
            let block = get(alloc, 1000);
            assert!(!block.is_null());
            // SAFETY: live and of this size.
            unsafe { block.write_bytes(0x3c, 1000) };
            blocks[round * 64 + at] = block;
        }
        if round % 8 == 7 {
            for block in &mut blocks[(round - 7) * 64..(round - 3) * 64] {
                // SAFETY: got above; the entry is cleared so that it is freed once.
                unsafe { put(alloc, *block, 1000) };
                *block = std::ptr::null_mut();
            }
        }
    }
    for block in blocks.iter().filter(|block| !block.is_null()) {
        for at in 0..1000 {
            // SAFETY: live and of this size.
            assert_eq!(unsafe { block.add(at).read() }, 0x3c, "a block shares memory with sbrk's");
        }
        // SAFETY: got above, given up here.
        unsafe { put(alloc, *block, 1000) };
    }
    for (start, len) in own.iter().zip(lens.iter()).filter(|(start, _)| !start.is_null()) {
        for at in 0..*len {
            // SAFETY: within what sbrk gave, which nobody has given back.
            assert_eq!(unsafe { start.add(at).read() }, 0xa5, "byte {at} of sbrk's memory was overwritten");
        }
    }
    // For the test, which knows on which front it must not be zero.
    println!("{given}");
}

/// Somebody else's mapping lies in the way of the break.
pub fn above_break<A: GlobalAlloc + Sync>(alloc: &'static A) {
    let page = measure::page_size();
    let spot = (measure::real_break() + 2 * MIB).next_multiple_of(page);
    // SAFETY: NOREPLACE: only where nothing is.
    let there = unsafe {
        libc::mmap(
            spot as *mut libc::c_void,
            page,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
            -1,
            0,
        )
    };
    if there == libc::MAP_FAILED {
        // The allocator's own reservation is there: nobody else's mapping can come in the way.
        // SAFETY: this thread's own errno.
        assert_eq!(unsafe { *libc::__errno_location() }, libc::EEXIST);
    } else {
        // SAFETY: the page just mapped.
        unsafe { there.cast::<u8>().write_bytes(0x77, page) };
    }
    work(alloc);
    if there != libc::MAP_FAILED {
        for at in 0..page {
            // SAFETY: within the page mapped above.
            assert_eq!(unsafe { there.cast::<u8>().add(at).read() }, 0x77, "the mapping was written to");
        }
    }
}

/// Enough requests of every kind to need growth many times over.
pub fn work<A: GlobalAlloc + Sync>(alloc: &'static A) {
    let mut blocks = Table::<*mut u8>::new(96 * MIB / KIB);
    for round in 0..2 {
        for block in blocks.iter_mut() {
            *block = get(alloc, KIB);
            assert!(!block.is_null(), "no memory in round {round}");
            // SAFETY: live and of this size.
            unsafe { touch(*block, KIB) };
        }
        for block in blocks.iter() {
            // SAFETY: got above, given up here.
            unsafe { put(alloc, *block, KIB) };
        }
    }
    shadow::storm(alloc, 3, 10_000, 6);
}
