//! The Box round: the least an allocator can be asked for, a box of a constant size and its end.

use std::hint::black_box;

/// Makes and drops `times` boxes of 32 bytes. The box is written, and nobody can leave it out.
#[inline(never)]
pub fn boxes(times: u64) -> u64 {
    for round in 0..times {
        drop(black_box(Box::new([round; 4])));
    }
    times
}
