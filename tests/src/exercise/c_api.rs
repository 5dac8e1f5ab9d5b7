// long: one list of promises with a function each; in two files it would be two lists.
//! The C functions, by their manual: glibc's semantics, errno included.
//!
//! One function a promise; `tests/tests/c_api.rs` makes each a test of its own.
#![expect(clippy::undocumented_unsafe_blocks, reason = "the cases share one reason, written above them")]

use std::hint::black_box;
use std::ptr::null_mut;

use libc::{c_int, c_void, size_t};

use super::{KIB, MIB, c_names, c_sized};
use crate::measure;

/// Hands the list of cases to a macro, so that the table here and the tests there cannot differ.
#[macro_export]
macro_rules! c_api_cases {
    ($with:ident) => {
        $with! {
            malloc_of_zero_gives_distinct_blocks,
            blocks_are_aligned_to_sixteen,
            usable_size_is_all_usable,
            sizes_above_ptrdiff_max_give_null_and_enomem,
            calloc_refuses_an_overflow,
            calloc_gives_zeroes_also_from_used_memory,
            realloc_of_null_allocates,
            realloc_to_zero_frees_and_gives_null,
            realloc_keeps_what_fits,
            a_refused_realloc_leaves_the_block,
            reallocarray_refuses_an_overflow_and_leaves_the_block,
            posix_memalign_aligns,
            posix_memalign_refuses_bad_alignments_without_a_trace,
            posix_memalign_refuses_bad_sizes_without_a_trace,
            memalign_and_aligned_alloc_align,
            memalign_rounds_odd_alignments_up,
            aligned_blocks_can_be_reallocated,
            valloc_and_pvalloc_give_pages,
            free_takes_null,
            free_keeps_errno,
            freed_memory_is_used_again,
            sized_frees_free,
            mallopt_accepts_what_it_knows,
            malloc_trim_keeps_live_blocks,
            mallinfo2_counts_small_blocks,
            mallinfo2_counts_mappings,
            malloc_stats_writes_to_stderr,
            what_libc_allocates_is_ours,
        }
    };
}

macro_rules! table {
    ($($case:ident,)*) => {
        const CASES: &[(&str, fn())] = &[$((stringify!($case), $case)),*];
    };
}
c_api_cases!(table);

/// Runs the case, or `all` of them, but not those that are left out.
pub fn run(case: &str, out: &[&str]) {
    let all = CASES.iter().chain(c_names::CASES).chain(c_sized::CASES);
    let chosen: Vec<_> =
        all.filter(|(name, _)| (case == "all" || case == *name) && !out.contains(name)).collect();
    assert!(!chosen.is_empty(), "no case {case}");
    for (name, body) in chosen {
        // Shown if the program dies of a signal.
        eprintln!("{name}");
        body();
    }
}

/// `mallinfo2`'s result: the libc crate has the type, but not for every libc.
#[repr(C)]
pub(super) struct Mallinfo2 {
    pub arena: size_t,
    pub ordblks: size_t,
    pub smblks: size_t,
    pub hblks: size_t,
    pub hblkhd: size_t,
    pub usmblks: size_t,
    pub fsmblks: size_t,
    pub uordblks: size_t,
    pub fordblks: size_t,
    pub keepcost: size_t,
}

/// The functions by address, through `dlsym`: the compiler knows what `malloc` promises and would drop or
/// fold the calls whose results are looked at here.
pub(super) fn symbol(name: &std::ffi::CStr) -> *mut c_void {
    // SAFETY: looks a name up.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    assert!(!found.is_null(), "{name:?} is not there");
    black_box(found)
}

macro_rules! functions {
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $(pub(super) unsafe fn $name($($argument: $type),*) $(-> $result)? {
            let name = std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes());
            let found = $crate::exercise::c_api::symbol(name.expect("a C string"));
            type Function = unsafe extern "C" fn($($type),*) $(-> $result)?;
            // SAFETY: the C declaration of the function of this name.
            let function: Function = unsafe { std::mem::transmute(found) };
            // SAFETY: as the caller promises.
            unsafe { function($($argument),*) }
        })*
    };
}

pub(super) use functions;

functions! {
    malloc(size: size_t) -> *mut u8;
    calloc(count: size_t, size: size_t) -> *mut u8;
    realloc(block: *mut u8, size: size_t) -> *mut u8;
    reallocarray(block: *mut u8, count: size_t, size: size_t) -> *mut u8;
    free(block: *mut u8);
    free_sized(block: *mut u8, size: size_t);
    free_aligned_sized(block: *mut u8, align: size_t, size: size_t);
    posix_memalign(into: *mut *mut u8, align: size_t, size: size_t) -> c_int;
    aligned_alloc(align: size_t, size: size_t) -> *mut u8;
    memalign(align: size_t, size: size_t) -> *mut u8;
    valloc(size: size_t) -> *mut u8;
    pvalloc(size: size_t) -> *mut u8;
    malloc_usable_size(block: *mut u8) -> size_t;
    mallopt(parameter: c_int, value: c_int) -> c_int;
    malloc_trim(pad: size_t) -> c_int;
    mallinfo2() -> Mallinfo2;
    malloc_stats();
}

// glibc's numbers: other libcs have no mallopt, and the programs are built for those too.
pub(super) const M_MMAP_THRESHOLD: c_int = -3;
const M_TRIM_THRESHOLD: c_int = -1;
const M_TOP_PAD: c_int = -2;
const M_ARENA_MAX: c_int = -8;

pub(super) const TOO_MUCH: usize = isize::MAX as usize + 1;
/// Sizes of every kind: classes, spans, mappings, and their borders.
pub(super) const SIZES: [usize; 18] = [
    1,
    8,
    16,
    17,
    100,
    1000,
    1024,
    1025,
    5000,
    32 * KIB,
    32 * KIB + 1,
    100_000,
    128 * KIB - 1,
    128 * KIB,
    200_000,
    MIB,
    3 * MIB + 1,
    10 * MIB,
];

pub(super) fn set_errno(value: c_int) {
    // SAFETY: this thread's own errno.
    unsafe { *libc::__errno_location() = value };
}

pub(super) fn errno() -> c_int {
    // SAFETY: this thread's own errno.
    unsafe { *libc::__errno_location() }
}

/// # Safety
/// `block` is live and of at least `len` bytes, all of them initialised.
pub(super) unsafe fn all(block: *const u8, len: usize, value: u8) -> bool {
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(block, len) }.iter().all(|byte| *byte == value)
}

// SAFETY, for all cases: blocks are used within the size that was asked for (or within the usable size,
// where that is the promise), while they are live, and each is given back once.

fn malloc_of_zero_gives_distinct_blocks() {
    unsafe {
        let blocks: Vec<_> = (0..100).map(|_| malloc(0)).collect();
        for (at, block) in blocks.iter().enumerate() {
            assert!(!block.is_null());
            assert!(!blocks[..at].contains(block), "two live blocks share an address");
        }
        blocks.into_iter().for_each(|block| free(block));
    }
}

fn blocks_are_aligned_to_sixteen() {
    unsafe {
        for size in (0..4096).chain(SIZES) {
            for block in [malloc(size), calloc(1, size), realloc(null_mut(), size)] {
                assert!(!block.is_null() && block.addr().is_multiple_of(16), "{block:p} for {size} bytes");
                free(block);
            }
        }
    }
}

fn usable_size_is_all_usable() {
    unsafe {
        assert_eq!(malloc_usable_size(null_mut()), 0);
        for size in SIZES.into_iter().chain(1..600) {
            let (one, two) = (malloc(size), malloc(size));
            let (first, second) = (malloc_usable_size(one), malloc_usable_size(two));
            assert!(first >= size && second >= size, "{first} usable of {size}");
            one.write_bytes(0x11, first);
            two.write_bytes(0x22, second);
            assert!(all(one, first, 0x11), "the usable sizes of two blocks of {size} overlap");
            free(one);
            free(two);
        }
    }
}

fn sizes_above_ptrdiff_max_give_null_and_enomem() {
    let refused = |what: &str, block: *mut u8| {
        assert!(block.is_null(), "{what} gave a block");
        assert_eq!(errno(), libc::ENOMEM, "{what}");
        set_errno(0);
    };
    set_errno(0);
    unsafe {
        for size in [TOO_MUCH, usize::MAX - 4096, usize::MAX - 1, usize::MAX] {
            refused("malloc", malloc(size));
            refused("calloc", calloc(1, size));
            refused("realloc", realloc(null_mut(), size));
            refused("reallocarray", reallocarray(null_mut(), 1, size));
            refused("aligned_alloc", aligned_alloc(64, size));
            refused("memalign", memalign(4096, size));
            refused("valloc", valloc(size));
            refused("pvalloc", pvalloc(size));
        }
        // Not above, but more than there is address space: the same word.
        refused("malloc", malloc(TOO_MUCH - 1));
        refused("calloc", calloc(TOO_MUCH - 1, 1));
    }
}

fn calloc_refuses_an_overflow() {
    unsafe {
        for (count, size) in
            [(usize::MAX, 2), (2, usize::MAX), (1 << 32, 1 << 32), (TOO_MUCH, 2), (3, usize::MAX / 2)]
        {
            set_errno(0);
            assert!(calloc(count, size).is_null(), "{count} * {size}");
            assert_eq!(errno(), libc::ENOMEM);
        }
        let (one, two) = (calloc(0, 8), calloc(8, 0));
        assert!(!one.is_null() && !two.is_null() && one != two);
        free(one);
        free(two);
    }
}

fn calloc_gives_zeroes_also_from_used_memory() {
    unsafe {
        for size in SIZES {
            for _ in 0..10 {
                let dirty = malloc(size);
                dirty.write_bytes(0xff, malloc_usable_size(dirty));
                free(dirty);
                let block = calloc(size, 1);
                assert!(all(block, size, 0), "calloc of {size}");
                block.write_bytes(0xff, size);
                free(block);
            }
        }
    }
}

fn realloc_of_null_allocates() {
    unsafe {
        for size in SIZES {
            let block = realloc(null_mut(), size);
            assert!(!block.is_null() && malloc_usable_size(block) >= size);
            free(block);
        }
        let block = realloc(null_mut(), 0);
        assert!(!block.is_null(), "realloc(NULL, 0) is malloc(0)");
        free(block);
    }
}

fn realloc_to_zero_frees_and_gives_null() {
    let before = measure::resident();
    unsafe {
        for _ in 0..20_000 {
            let block = malloc(20 * KIB);
            block.write_bytes(1, 20 * KIB);
            set_errno(0);
            assert!(realloc(block, 0).is_null());
            assert_eq!(errno(), 0, "this NULL is no failure");
        }
    }
    let grown = measure::resident().saturating_sub(before);
    assert!(grown < 64 * MIB, "{} MiB stay resident: realloc(p, 0) does not free", grown / MIB);
}

fn realloc_keeps_what_fits() {
    unsafe {
        for from in SIZES {
            for to in SIZES {
                let block = malloc(from);
                block.write_bytes(0x42, from);
                let block = realloc(block, to);
                assert!(!block.is_null() && malloc_usable_size(block) >= to);
                assert!(all(block, from.min(to), 0x42), "from {from} to {to}");
                block.write_bytes(0x43, to);
                free(block);
            }
        }
    }
}

fn a_refused_realloc_leaves_the_block() {
    unsafe {
        for size in SIZES {
            let block = malloc(size);
            block.write_bytes(0x42, size);
            for too_much in [TOO_MUCH, TOO_MUCH - 1, usize::MAX] {
                set_errno(0);
                assert!(realloc(block, too_much).is_null());
                assert_eq!(errno(), libc::ENOMEM);
            }
            assert!(all(block, size, 0x42));
            free(block);
        }
    }
}

fn reallocarray_refuses_an_overflow_and_leaves_the_block() {
    unsafe {
        let block = reallocarray(null_mut(), 100, 10);
        block.write_bytes(0x42, 1000);
        set_errno(0);
        assert!(reallocarray(block, usize::MAX / 2, 3).is_null());
        assert_eq!(errno(), libc::ENOMEM);
        assert!(all(block, 1000, 0x42));
        let block = reallocarray(block, 1000, 1000);
        assert!(malloc_usable_size(block) >= 1_000_000 && all(block, 1000, 0x42));
        free(block);
    }
}

fn posix_memalign_aligns() {
    unsafe {
        for align in (3..23).map(|bits| 1_usize << bits) {
            for size in [0, 1, 100, 5000, 70_000, 200_000] {
                let mut block = null_mut();
                assert_eq!(posix_memalign(&mut block, align, size), 0);
                assert!(!block.is_null() && block.addr().is_multiple_of(align), "{block:p} for {align}");
                assert!(malloc_usable_size(block) >= size);
                block.write_bytes(0x42, size);
                free(block);
            }
        }
    }
}

fn posix_memalign_refuses_bad_alignments_without_a_trace() {
    unsafe {
        for align in [0, 1, 2, 3, 4, 12, 24, 100, usize::MAX] {
            let sentinel = std::ptr::without_provenance_mut(0x1234);
            let mut block = sentinel;
            set_errno(1234);
            assert_eq!(posix_memalign(&mut block, align, 100), libc::EINVAL, "alignment {align}");
            assert_eq!((block, errno()), (sentinel, 1234), "alignment {align} left a trace");
        }
    }
}

fn posix_memalign_refuses_bad_sizes_without_a_trace() {
    unsafe {
        for (align, size) in
            [(64, TOO_MUCH), (4096, usize::MAX), (1 << 20, usize::MAX - 4096), (1 << 62, TOO_MUCH - 1)]
        {
            let sentinel = std::ptr::without_provenance_mut(0x1234);
            let mut block = sentinel;
            set_errno(1234);
            assert_eq!(posix_memalign(&mut block, align, size), libc::ENOMEM, "{align}, {size}");
            assert_eq!((block, errno()), (sentinel, 1234), "{align}, {size} left a trace");
        }
    }
}

fn memalign_and_aligned_alloc_align() {
    unsafe {
        for align in (0..23).map(|bits| 1_usize << bits) {
            for size in [1, 100, 5000, 70_000, 200_000, 3 * MIB] {
                for block in [memalign(align, size), aligned_alloc(align, size)] {
                    assert!(
                        !block.is_null() && block.addr().is_multiple_of(align.max(16)),
                        "{block:p} for {align}"
                    );
                    assert!(malloc_usable_size(block) >= size);
                    block.write_bytes(0x42, size);
                    free(block);
                }
            }
        }
    }
}

fn memalign_rounds_odd_alignments_up() {
    unsafe {
        for (asked, given) in [(0, 16), (3, 16), (24, 32), (100, 128), (5000, 8192)] {
            let block = memalign(asked, 100);
            assert!(!block.is_null() && block.addr().is_multiple_of(given), "{block:p} for {asked}");
            free(block);
        }
        set_errno(0);
        assert!(memalign(usize::MAX / 2 + 2, 100).is_null());
        assert_eq!(errno(), libc::EINVAL, "no power of two is as large");
    }
}

fn aligned_blocks_can_be_reallocated() {
    unsafe {
        for align in [64, 4096, 65536, MIB] {
            for to in SIZES {
                let block = aligned_alloc(align, 3000);
                block.write_bytes(0x42, 3000);
                let block = realloc(block, to);
                assert!(all(block, to.min(3000), 0x42), "aligned to {align}, to {to}");
                free(block);
            }
        }
    }
}

fn valloc_and_pvalloc_give_pages() {
    let page = measure::page_size();
    unsafe {
        for size in SIZES {
            let (one, two) = (valloc(size), pvalloc(size));
            assert!(one.addr().is_multiple_of(page) && two.addr().is_multiple_of(page));
            assert!(malloc_usable_size(one) >= size);
            assert!(malloc_usable_size(two) >= size.next_multiple_of(page), "pvalloc gives whole pages");
            free(one);
            free(two);
        }
    }
}

fn free_takes_null() {
    set_errno(1234);
    unsafe { free(null_mut()) };
    assert_eq!(errno(), 1234);
}

fn free_keeps_errno() {
    unsafe {
        for size in SIZES {
            let blocks: Vec<_> = (0..8).map(|_| malloc(size)).collect();
            set_errno(1234);
            blocks.iter().for_each(|block| free(*block));
            assert_eq!(errno(), 1234, "after the free of {size} bytes");
        }
    }
}

fn freed_memory_is_used_again() {
    let before = measure::resident();
    unsafe {
        for turn in 0..20_000 {
            let size = SIZES[turn % 13];
            let block = malloc(size);
            block.write_bytes(1, size);
            free(block);
        }
    }
    let grown = measure::resident().saturating_sub(before);
    assert!(grown < 32 * MIB, "{} MiB stay resident after each block was freed", grown / MIB);
}

fn sized_frees_free() {
    let before = measure::resident();
    unsafe {
        for turn in 0..20_000 {
            let size = SIZES[turn % 13];
            let block = malloc(size);
            block.write_bytes(1, size);
            free_sized(block, size);
            let block = aligned_alloc(256, size.next_multiple_of(256));
            block.write_bytes(1, size);
            free_aligned_sized(block, 256, size.next_multiple_of(256));
        }
        set_errno(1234);
        free_sized(null_mut(), 0);
        free_aligned_sized(null_mut(), 64, 0);
        assert_eq!(errno(), 1234);
    }
    let grown = measure::resident().saturating_sub(before);
    assert!(grown < 32 * MIB, "{} MiB stay resident after each block was freed", grown / MIB);
}

fn mallopt_accepts_what_it_knows() {
    unsafe {
        assert_eq!(mallopt(M_MMAP_THRESHOLD, 256 * 1024), 1);
        assert_eq!(mallopt(M_MMAP_THRESHOLD, 128 * 1024), 1);
        assert_eq!(mallopt(M_TRIM_THRESHOLD, 128 * 1024), 1);
        assert_eq!(mallopt(M_TOP_PAD, 0), 1);
        assert_eq!(mallopt(M_ARENA_MAX, 1), 1);
    }
}

fn malloc_trim_keeps_live_blocks() {
    unsafe {
        let blocks: Vec<_> = (0..4000).map(|at| malloc(SIZES[at % 12])).collect();
        for (at, block) in blocks.iter().enumerate() {
            block.write_bytes(at as u8, SIZES[at % 12]);
        }
        for at in (0..4000).step_by(2) {
            free(blocks[at]);
        }
        for pad in [0, MIB] {
            assert!((0..=1).contains(&malloc_trim(pad)), "1 if memory went back, 0 if not");
        }
        for at in (1..4000).step_by(2) {
            assert!(all(blocks[at], SIZES[at % 12], at as u8), "block {at} of {} bytes", SIZES[at % 12]);
            free(blocks[at]);
        }
    }
}

fn mallinfo2_counts_small_blocks() {
    const COUNT: usize = 4000;
    unsafe {
        let before = mallinfo2();
        let blocks: Vec<_> = (0..COUNT).map(|_| malloc(1000)).collect();
        let during = mallinfo2();
        // A quarter for rounding, and 256 KiB for what a thread holds ready: magazines count as in use or
        // not.
        let used = during.uordblks - before.uordblks;
        assert!(used + 256 * KIB >= COUNT * 1000, "uordblks grew by {used} for {COUNT} blocks of 1000");
        assert!(used <= COUNT * 1250 + 256 * KIB, "uordblks grew by {used} for {COUNT} blocks of 1000");
        assert!(during.arena >= during.uordblks, "more in use than there is");
        blocks.into_iter().for_each(|block| free(block));
        let after = mallinfo2();
        assert!(after.uordblks <= before.uordblks + 256 * KIB, "uordblks does not come down");
    }
}

fn mallinfo2_counts_mappings() {
    unsafe {
        let before = mallinfo2();
        let block = malloc(10 * MIB);
        let during = mallinfo2();
        assert_eq!(during.hblks, before.hblks + 1);
        let grown = during.hblkhd - before.hblkhd;
        assert!((10 * MIB..=10 * MIB + 64 * KIB).contains(&grown), "hblkhd grew by {grown}");
        free(block);
        assert_eq!(mallinfo2().hblks, before.hblks);
    }
}

fn malloc_stats_writes_to_stderr() {
    unsafe {
        let file = libc::tmpfile();
        let stderr = libc::dup(2);
        assert!(libc::dup2(libc::fileno(file), 2) == 2);
        malloc_stats();
        assert!(libc::dup2(stderr, 2) == 2);
        let written = libc::lseek(libc::fileno(file), 0, libc::SEEK_END);
        libc::fclose(file);
        assert!(written > 0, "malloc_stats wrote nothing");
    }
}

fn what_libc_allocates_is_ours() {
    unsafe {
        let text = libc::strdup(c"a word".as_ptr()).cast::<u8>();
        assert!(malloc_usable_size(text) >= 7);
        let text = realloc(text, 100_000);
        assert!(all(text.add(6), 1, 0));
        free(text);
        let folder = libc::getcwd(null_mut(), 0).cast::<u8>();
        assert!(!folder.is_null() && malloc_usable_size(folder) > 1);
        free(folder);
    }
}
