//! Pointers at which no block begins, told to what resizes and measures, and sizes that no block was asked
//! for with: each of these programs must be ended.
#![expect(clippy::undocumented_unsafe_blocks, reason = "the calls are wrong: that is what is tested")]

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;

use super::c_api::{
    aligned_alloc, free, free_aligned_sized, free_sized, malloc, malloc_trim, malloc_usable_size, realloc,
    reallocarray,
};
use super::{KIB, MIB, get};

/// A slab's length, and what it starts at a multiple of.
const SLAB: usize = 64 * KIB;

/// No block of any allocator.
static NO_BLOCK: u64 = 0;

/// A pointer of a kind, into blocks of `size` bytes where the kind is of small ones.
fn pointer(kind: &str, size: usize) -> *mut u8 {
    unsafe {
        let blocks: Vec<_> = (0..10).map(|_| malloc(size)).collect();
        let (block, span, large) = (blocks[5], malloc(50_000), malloc(MIB));
        let step = malloc_usable_size(block);
        let slab = block.wrapping_sub(block.addr() % SLAB);
        match kind {
            "inside" => block.wrapping_add(16),
            "odd" => block.wrapping_add(1),
            "misaligned" => block.wrapping_add(8),
            "at-the-end" => block.wrapping_add(step - 16),
            "never-handed-out" => slab.wrapping_add((SLAB / step - 1) * step),
            "behind-the-last" => slab.wrapping_add(SLAB / step * step),
            "inside-a-span" => span.wrapping_add(16),
            "page-of-a-span" => span.wrapping_add(4096),
            "later-in-a-span" => malloc(100_000).wrapping_add(SLAB),
            "inside-a-large" => large.wrapping_add(16),
            "page-of-a-large" => large.wrapping_add(4096),
            "freed-slab" => {
                // All that there is of the size.
                let many: Vec<_> = (0..40_000).map(|_| malloc(size)).collect();
                let last = many[39_000];
                many.into_iter().for_each(|block| free(block));
                blocks.into_iter().for_each(|block| free(block));
                malloc_trim(0);
                last
            }
            "freed-span" => {
                free(span);
                span
            }
            "freed-large" => {
                free(large);
                large
            }
            "static" => (&raw const NO_BLOCK).cast_mut().cast(),
            "stack" => (&raw mut *black_box(&mut [0u8; 64])).cast(),
            "wild" => std::ptr::without_provenance_mut(0x4141_4141_4141_4140),
            "low" => std::ptr::without_provenance_mut(16),
            _ => panic!("no kind {kind}"),
        }
    }
}

/// Hands `function` a wrong pointer.
pub fn told(function: &str, kind: &str) {
    // No power of two: behind the last block of a slab there is a rest.
    for size in [48, 1000, 3000] {
        let pointer = black_box(pointer(kind, size));
        // A child for each size: the call must end it.
        let child = unsafe { libc::fork() };
        if child == 0 {
            unsafe {
                match function {
                    "realloc" => _ = black_box(realloc(pointer, 2 * size)),
                    "realloc-smaller" => _ = black_box(realloc(pointer, size - 10)),
                    "realloc-to-zero" => _ = black_box(realloc(pointer, 0)),
                    "reallocarray" => _ = black_box(reallocarray(pointer, 2, size)),
                    "usable" => _ = black_box(malloc_usable_size(pointer)),
                    "free_sized" => free_sized(pointer, size),
                    "free_aligned_sized" => free_aligned_sized(pointer, 64, size),
                    _ => panic!("no function {function}"),
                }
                libc::_exit(0);
            }
        }
        let mut status = 0;
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        let aborted = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGABRT;
        assert!(aborted, "{function} of a pointer {kind}, blocks of {size} bytes: status {status:#x}");
    }
}

/// Frees a block with a size that is not its.
pub fn sized(function: &str, kind: &str) {
    unsafe {
        let told = |block: *mut u8, size: usize| match function {
            "free_sized" => free_sized(block, size),
            _ => free_aligned_sized(block, 16, size),
        };
        match kind {
            "larger" => told(malloc(100), 200),
            "just-larger" => told(malloc(112), 113),
            "smaller" => told(malloc(1000), 100),
            "just-smaller" => told(malloc(113), 112),
            "much-larger" => told(malloc(100), MIB),
            "too-large" => told(malloc(100), usize::MAX),
            "of-a-span" => told(malloc(50_000), 100),
            "above-a-span" => told(malloc(50_000), 70_000),
            "of-a-mapping" => told(malloc(MIB), 100),
            "below-a-mapping" => told(malloc(MIB), MIB / 2),
            "above-a-mapping" => told(malloc(MIB), MIB + 1),
            "other-alignment" => free_aligned_sized(aligned_alloc(64, 64), 4096, 64),
            _ => panic!("no kind {kind}"),
        }
    }
}

/// Resizes what is no block by a Rust allocator: into a span, or into a mapping.
pub fn resized<A: GlobalAlloc>(alloc: &A, size: usize) {
    let wrong = black_box(get(alloc, size).wrapping_add(4096));
    let layout = Layout::from_size_align(size, 8).expect("a layout");
    black_box(unsafe { alloc.realloc(wrong, layout, size + size / 2) });
}
