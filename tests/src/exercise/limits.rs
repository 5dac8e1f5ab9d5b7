//! When the system refuses memory, or somebody else moves the break.

use std::alloc::GlobalAlloc;
use std::ptr::null_mut;

use nix::sys::resource::{Resource, setrlimit};

use super::{KIB, MIB, get, layout, put, put_chain, touch};
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

/// With no memory left, a block that becomes smaller stays where it is: C's realloc, which knows that it is long
/// enough.
pub fn shrink<A: GlobalAlloc>(alloc: &A) {
    const LARGE: usize = 30_000;
    const BLOCKS: usize = 100;
    let mut blocks = Table::<*mut u8>::new(BLOCKS);
    for (fill, block) in blocks.iter_mut().enumerate() {
        *block = get(alloc, LARGE);
        assert!(!block.is_null());
        // SAFETY: live and of this size.
        unsafe { block.write_bytes(fill as u8, LARGE) };
    }
    let limit = measure::address_space() as libc::rlim_t;
    setrlimit(Resource::RLIMIT_AS, limit, limit).expect("a lower limit is always allowed");
    for size in [16_000, 6_000, 2_000] {
        // Not freed: they hold the memory.
        while get_or_enomem(alloc, size).is_some() {}
    }
    for (fill, block) in blocks.iter().enumerate() {
        // SAFETY: live; not used again but where it moved to.
        let smaller = unsafe { libc::realloc(block.cast(), 2_000) }.cast::<u8>();
        assert!(!smaller.is_null(), "block {fill} could not become smaller");
        // SAFETY: live and of this size.
        let bytes = unsafe { std::slice::from_raw_parts(smaller, 2_000) };
        assert!(bytes.iter().all(|byte| *byte == fill as u8), "block {fill} changed");
    }
}

/// Allocates until there is no more, checks how that was said, frees everything. Gives the bytes it got.
fn fill<A: GlobalAlloc>(alloc: &A, size: usize) -> usize {
    let mut last: *mut u8 = null_mut();
    let mut got = 0;
    while got <= 2 * LEFT {
        let Some(block) = get_or_enomem(alloc, size) else { break };
        // The blocks are chained through themselves: there is no memory for a list.
        // SAFETY: live, at least 16 bytes and aligned for a pointer.
        unsafe { block.cast::<*mut u8>().write(last) };
        last = block;
        got += size;
    }
    // SAFETY: the chain written above.
    unsafe { put_chain(alloc, last, size) };
    got
}

/// A block; None where there is no memory, and errno says so.
pub fn get_or_enomem<A: GlobalAlloc>(alloc: &A, size: usize) -> Option<*mut u8> {
    // SAFETY: this thread's own errno.
    unsafe { *libc::__errno_location() = 0 };
    let block = get(alloc, size);
    if block.is_null() {
        // SAFETY: as above.
        let errno = unsafe { *libc::__errno_location() };
        assert_eq!(errno, libc::ENOMEM, "no memory for {size} bytes, and errno is {errno}");
        return None;
    }
    Some(block)
}

/// The kernel makes no more mappings and splits none (vm.max_map_count): what is freed goes back though its
/// mapping cannot be cut, requests are served from what is there or refused, and nothing is lost.
pub fn no_more_mappings<A: GlobalAlloc + Sync>(alloc: &'static A) {
    const LARGE: usize = 10 * MIB;
    const OTHERS: [usize; 6] = [20 * MIB, MIB, 100 * KIB, 10 * KIB, KIB, 16];
    // Side by side they are one mapping to the kernel: freeing the one in the middle has to split it.
    let mut large = [1, 2, 3].map(|fill| Filled::get(alloc, LARGE, fill).expect("memory"));
    large.sort_unstable_by_key(|block| block.at);
    let [below, middle, above] = large;
    let filler = Filler::new();

    let before = measure::resident();
    middle.put(alloc);
    let given_back = before.saturating_sub(measure::resident());
    assert!(given_back >= LARGE - MIB, "of {LARGE} bytes freed only {given_back} were given back");

    for round in 0..3 {
        // The addresses of the one in the middle are there still; for more the system has to be asked.
        let again = Filled::get(alloc, LARGE, round).expect("what was freed serves again");
        let others = OTHERS.map(|size| Filled::get(alloc, size, round));
        others.into_iter().flatten().for_each(|block| block.put(alloc));
        again.put(alloc);
    }
    let below = below.grow(alloc, 2 * LARGE);

    drop(filler);
    for size in OTHERS {
        Filled::get(alloc, size, 4).expect("mappings can be made again").put(alloc);
    }
    [below, above].into_iter().for_each(|block| block.put(alloc));
    shadow::storm(alloc, 1, 20_000, 8);
}

/// A block full of one byte.
struct Filled {
    at: *mut u8,
    size: usize,
    fill: u8,
}

impl Filled {
    /// None where the allocator says that there is no memory.
    fn get<A: GlobalAlloc>(alloc: &A, size: usize, fill: u8) -> Option<Filled> {
        let at = get_or_enomem(alloc, size)?;
        // SAFETY: live and of this size.
        unsafe { at.write_bytes(fill, size) };
        Some(Filled { at, size, fill })
    }

    /// Longer, where that can be had, and its bytes what they were in any case.
    fn grow<A: GlobalAlloc>(self, alloc: &A, size: usize) -> Filled {
        // SAFETY: live, and of the layout it was got with.
        let longer = unsafe { alloc.realloc(self.at, layout(self.size), size) };
        if longer.is_null() {
            return self;
        }
        Filled { at: longer, ..self }.check();
        // SAFETY: live and of this size.
        unsafe { longer.write_bytes(self.fill, size) };
        Filled { at: longer, size, ..self }
    }

    fn check(&self) {
        // SAFETY: live and of this size.
        let bytes = unsafe { std::slice::from_raw_parts(self.at, self.size) };
        assert!(bytes.iter().all(|byte| *byte == self.fill), "a block of {} bytes changed", self.size);
    }

    fn put<A: GlobalAlloc>(self, alloc: &A) {
        self.check();
        // SAFETY: got with this size, given up here.
        unsafe { put(alloc, self.at, self.size) };
    }
}

/// All mappings that this process may still have: pages of one file, the same one again and again, so that
/// the kernel joins none with its neighbour.
struct Filler(Table<*mut u8>);

impl Filler {
    fn new() -> Self {
        // SAFETY: opens a file, writes no memory.
        let file = unsafe { libc::open(c"/proc/self/exe".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
        assert!(file >= 0, "no /proc/self/exe");
        let mut pages = Table::<*mut u8>::new(measure::mappings_allowed());
        let page = measure::page_size();
        let refused = pages.iter_mut().any(|place| {
            // SAFETY: takes new addresses.
            let at = unsafe { libc::mmap(null_mut(), page, libc::PROT_READ, libc::MAP_PRIVATE, file, 0) };
            let refused = at == libc::MAP_FAILED;
            *place = if refused { null_mut() } else { at.cast() };
            refused
        });
        assert!(refused, "the limit was not reached");
        // SAFETY: the descriptor opened above, used by nobody else.
        unsafe { libc::close(file) };
        Filler(pages)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        for at in self.0.iter().filter(|at| !at.is_null()) {
            // SAFETY: a page mapped above, used by nobody.
            unsafe { libc::munmap(at.cast(), measure::page_size()) };
        }
    }
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
                *block = null_mut();
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

/// The program takes much at the break, and gives it back when the allocator has given back what it had above.
pub fn sbrk_and_back<A: GlobalAlloc>(alloc: &A) {
    const FAR: usize = 130 * MIB;
    // SAFETY: new memory at the break.
    let far = unsafe { libc::sbrk(FAR as libc::intptr_t) };
    assert_ne!(far as isize, -1, "sbrk of {FAR}");
    let spans = |count: usize| {
        for turn in 0..2 {
            let mut blocks = Table::<*mut u8>::new(count);
            for block in blocks.iter_mut() {
                *block = get(alloc, 100 * KIB);
                assert!(!block.is_null(), "no memory in round {turn}");
                // SAFETY: live and of this size.
                unsafe { block.write_bytes(turn, 100) };
            }
            for block in blocks.iter() {
                // SAFETY: got above, given up here.
                unsafe { put(alloc, *block, 100 * KIB) };
            }
        }
    };
    spans(200);
    // SAFETY: gives back what is free; then the program's own bytes, which are the last now.
    let back = unsafe {
        super::c_api::malloc_trim(0);
        libc::sbrk(-(FAR as libc::intptr_t))
    };
    assert_ne!(back as isize, -1, "the allocator still has something above");
    assert_eq!(measure::real_break(), far.addr());
    spans(1600);
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
    assert_ne!(
        there,
        libc::MAP_FAILED,
        "nobody else's addresses are reserved: there is room above the break"
    );
    // SAFETY: the page just mapped.
    unsafe { there.cast::<u8>().write_bytes(0x77, page) };
    work(alloc);
    for at in 0..page {
        // SAFETY: within the page mapped above.
        assert_eq!(unsafe { there.cast::<u8>().add(at).read() }, 0x77, "the mapping was written to");
    }
}

/// Enough requests of every kind to need growth many times over.
pub fn work<A: GlobalAlloc + Sync>(alloc: &'static A) {
    kib_blocks(alloc, 96 * MIB);
    shadow::storm(alloc, 3, 10_000, 6);
}

/// So many bytes of small blocks, all of them resident, twice.
pub fn kib_blocks<A: GlobalAlloc>(alloc: &A, bytes: usize) {
    let mut blocks = Table::<*mut u8>::new(bytes / KIB);
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
}
