//! A program that is right, and whose live blocks hold by accident what the allocator writes into free ones: bytes
//! of a freed block, as a copy of memory that was never written brings them.

use std::hint::black_box;

use crate::table::Table;

const COUNT: usize = 400;
const ROUNDS: usize = 6;

/// A live block, filled with bytes of a free one.
fn get(size: usize, how: usize, pattern: &[u8]) -> *mut u8 {
    // SAFETY: alignments are powers of two, and sizes multiples of them.
    let block = black_box(unsafe {
        match how % 4 {
            0 => libc::malloc(size),
            1 => libc::calloc(1, size),
            2 => libc::aligned_alloc(64, size.next_multiple_of(64)),
            _ => libc::realloc(libc::malloc(size / 2 + 1), size),
        }
    });
    assert!(!block.is_null());
    let block: *mut u8 = block.cast();
    for offset in 0..size {
        // SAFETY: inside a block of this size.
        unsafe { block.add(offset).write_volatile(pattern[offset % pattern.len()]) };
    }
    block
}

fn is_whole(block: *mut u8, size: usize, pattern: &[u8]) -> bool {
    // SAFETY: a live block of this size.
    (0..size).all(|offset| unsafe { block.add(offset).read_volatile() } == pattern[offset % pattern.len()])
}

/// What is in the first bytes of a block when it is free.
fn left_in_free(size: usize) -> Vec<u8> {
    let mut left = vec![0; size.min(64)];
    // SAFETY: the block is live until it is freed. What is read then is what is tested; its page is still there.
    unsafe {
        let block: *mut u8 = black_box(libc::malloc(size)).cast();
        block.write_bytes(0xee, size);
        libc::free(black_box(block).cast());
        let block = black_box(block);
        left.iter_mut().enumerate().for_each(|(offset, byte)| *byte = block.add(offset).read_volatile());
    }
    left
}

/// Frees blocks by this thread and by others, of which some allocate again; nothing may end the program.
pub fn all(size: usize) {
    let pattern = left_in_free(size);
    for round in 0..ROUNDS {
        let mut blocks = Table::<*mut u8>::new(COUNT);
        (0..COUNT).for_each(|at| blocks[at] = get(size, at + round, &pattern));
        assert!(blocks.iter().all(|&block| is_whole(block, size, &pattern)));
        if round == 1 {
            in_child(&blocks);
        }
        let addresses: Vec<usize> = blocks.iter().map(|block| block.expose_provenance()).collect();
        let (own, others) = addresses.split_at(COUNT / 3);
        let free = |address: &usize| {
            // SAFETY: a live block, freed once.
            unsafe { libc::free(std::ptr::with_exposed_provenance_mut(*address)) }
        };
        std::thread::scope(|scope| {
            for part in others.chunks(COUNT / 3) {
                let pattern = &pattern;
                scope.spawn(move || {
                    for (at, address) in part.iter().enumerate() {
                        free(address);
                        let again = get(size, at, pattern);
                        // SAFETY: a live block, grown where it is or moved.
                        let grown = black_box(unsafe { libc::realloc(again.cast(), size + size / 8) });
                        free(&grown.expose_provenance());
                    }
                });
            }
        });
        own.iter().for_each(free);
        // SAFETY: no preconditions.
        unsafe { super::c_api::malloc_trim(0) };
    }
}

/// What a child inherits is live there, too.
fn in_child(blocks: &[*mut u8]) {
    // SAFETY: the child does nothing but free and exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        for &block in blocks {
            // SAFETY: live in the child, freed once.
            unsafe { libc::free(block.cast()) };
        }
        // SAFETY: ends the child and nothing else.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: the status is this function's; the child is this process's.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the child ended with {status:#x}");
}
