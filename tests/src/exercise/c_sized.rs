//! C23's sized frees take every size that a block was asked for with, by whatever function and way.
#![expect(clippy::undocumented_unsafe_blocks, reason = "the cases share one reason, written above them")]

use std::ptr::null_mut;

use nix::sys::resource::{Resource, setrlimit};

use super::c_api::{
    M_MMAP_THRESHOLD, SIZES, aligned_alloc, calloc, free_aligned_sized, free_sized, malloc, mallopt,
    memalign, posix_memalign, pvalloc, realloc, reallocarray, valloc,
};
use super::{KIB, MIB};
use crate::measure;
use crate::random::Random;
use crate::table::Table;

/// As `c_api_cases`, for this list.
#[macro_export]
macro_rules! c_sized_cases {
    ($with:ident) => {
        $with! {
            sized_frees_take_what_was_asked_for,
            sized_frees_take_what_realloc_was_asked_for,
            sized_frees_take_what_was_aligned,
            sized_frees_take_blocks_of_any_threshold,
        }
    };
}

macro_rules! table {
    ($($case:ident,)*) => {
        pub const CASES: &[(&str, fn())] = &[$((stringify!($case), $case)),*];
    };
}
c_sized_cases!(table);

// SAFETY, for all cases: blocks are live, and each is given back once, with the size that it was asked for
// with last.

fn sized_frees_take_what_was_asked_for() {
    unsafe {
        for size in (0..5000).chain(SIZES) {
            free_sized(malloc(size), size);
            free_sized(calloc(size, 1), size);
            free_sized(calloc(3, size), 3 * size);
            free_sized(realloc(null_mut(), size), size);
            free_sized(reallocarray(null_mut(), 2, size), 2 * size);
        }
        free_sized(null_mut(), 100);
        free_aligned_sized(null_mut(), 64, 100);
    }
}

fn sized_frees_take_what_realloc_was_asked_for() {
    unsafe {
        for from in SIZES {
            for to in SIZES {
                free_sized(realloc(malloc(from), to), to);
                let there = realloc(malloc(from), to);
                free_sized(realloc(there, from), from);
            }
        }
        let mut random = Random::new(7);
        for _ in 0..2000 {
            let (mut block, mut size) = (null_mut(), 0);
            for _ in 0..10 {
                size = random.size(5 * MIB);
                block = realloc(block, size);
            }
            free_sized(block, size);
        }
    }
}

fn sized_frees_take_what_was_aligned() {
    unsafe {
        for align in (0..23).map(|bits| 1 << bits) {
            for size in [0, 1, 15, 16, 100, 1000, 5000, 70_000, 200_000] {
                free_aligned_sized(aligned_alloc(align, size), align, size);
                free_aligned_sized(memalign(align, size), align, size);
                free_sized(memalign(align, size), size);
                let mut block = null_mut();
                assert_eq!(posix_memalign(&mut block, align.max(8), size), 0);
                free_sized(block, size);
                let to = size / 2 + 1;
                free_sized(realloc(memalign(align, size), to), to);
            }
        }
        for size in SIZES {
            free_sized(valloc(size), size);
            free_sized(pvalloc(size), size);
        }
    }
}

fn sized_frees_take_blocks_of_any_threshold() {
    const DEFAULT: i32 = 128 * KIB as i32;
    unsafe {
        for first in [0, DEFAULT, 32 * MIB as i32] {
            for second in [0, DEFAULT, 32 * MIB as i32] {
                mallopt(M_MMAP_THRESHOLD, first);
                let blocks: Vec<_> =
                    SIZES.into_iter().map(|size| (malloc(size), calloc(1, size), size)).collect();
                mallopt(M_MMAP_THRESHOLD, second);
                for (block, other, size) in blocks {
                    free_sized(block, size);
                    free_sized(realloc(other, size / 3 + 1), size / 3 + 1);
                }
            }
        }
        mallopt(M_MMAP_THRESHOLD, DEFAULT);
    }
}

/// With no memory left a block becomes smaller where it is, whatever its class; then it is freed with its new
/// size.
pub fn without_memory() {
    const BLOCKS: usize = 100;
    const LARGE: usize = 30_000;
    let mut blocks = Table::<*mut u8>::new(BLOCKS);
    unsafe {
        blocks.iter_mut().for_each(|block| *block = malloc(LARGE));
        let limit = measure::address_space() as libc::rlim_t;
        setrlimit(Resource::RLIMIT_AS, limit, limit).expect("a lower limit is always allowed");
        for size in [16_000, 6_000, 2_000, 100] {
            // Not freed: they hold the memory.
            while !malloc(size).is_null() {}
        }
        let mut stayed = 0;
        for block in blocks.iter() {
            let smaller = realloc(*block, 100);
            assert!(!smaller.is_null());
            stayed += (smaller == *block) as usize;
            free_sized(smaller, 100);
        }
        assert!(stayed > 0, "there was memory for every copy: the test shows nothing");
    }
}
