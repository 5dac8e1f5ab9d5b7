//! Loops of one thing done again and again, whose instructions are counted.

use std::hint::black_box;

/// The Box round: the least an allocator can be asked for, a box of a constant size and its end. Makes and drops
/// `times` boxes of 32 bytes. The box is written, and nobody can leave it out.
#[inline(never)]
pub fn boxes(times: u64) -> u64 {
    for round in 0..times {
        drop(black_box(Box::new([round; 4])));
    }
    times
}

/// Clears a block of `bytes` bytes `times` times.
#[inline(never)]
pub fn clear(bytes: usize, times: u64) -> u64 {
    let mut block = vec![1u8; bytes];
    for _ in 0..times {
        black_box(&mut block[..]).fill(0);
    }
    times
}

/// Copies a block of `bytes` bytes `times` times.
#[inline(never)]
pub fn copy(bytes: usize, times: u64) -> u64 {
    let (source, mut target) = (vec![1u8; bytes], vec![0u8; bytes]);
    for _ in 0..times {
        black_box(&mut target[..]).copy_from_slice(black_box(&source[..]));
    }
    times
}
