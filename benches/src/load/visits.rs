//! Visits to random blocks: once only touched, once replaced. The difference is the allocator's, the rest is the
//! caches'.

use std::hint::black_box;
use std::time::{Duration, Instant};

pub type Block = Vec<u8>;

/// Of small blocks.
pub fn small_size(dice: &mut fastrand::Rng) -> usize {
    dice.usize(16..128)
}

/// Its first cache line only is written: the block is the allocator's matter, its contents are not.
pub fn block(size: usize) -> Block {
    let mut block = Vec::with_capacity(size);
    block.push(1);
    block
}

/// When a visit may begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// As early as the processor can: it waits for several blocks at a time.
    Early,
    /// Once the one before has read its block.
    After,
}

/// How long the visits took, and a sum of what they saw.
pub fn touch(
    blocks: &mut [Block],
    visits: usize,
    turn: Turn,
    size: impl Fn(&mut fastrand::Rng) -> usize,
    dice: &mut fastrand::Rng,
) -> (Duration, u64) {
    let mut sum = 0u64;
    let began = Instant::now();
    for _ in 0..visits {
        let size = size(dice);
        // Nothing is added, which only the block before can tell.
        let wait = if turn == Turn::After { black_box(sum) >> 63 } else { 0 };
        let visited = &mut blocks[dice.usize(..blocks.len()) + wait as usize];
        visited[0] = black_box(visited[0].wrapping_add(size as u8));
        sum = sum.wrapping_add(u64::from(visited[0]));
    }
    (began.elapsed(), sum)
}

/// How long the visits took.
pub fn replace(
    blocks: &mut [Block],
    visits: usize,
    size: impl Fn(&mut fastrand::Rng) -> usize,
    dice: &mut fastrand::Rng,
) -> Duration {
    let began = Instant::now();
    for _ in 0..visits {
        let new = block(size(dice));
        let visited = &mut blocks[dice.usize(..blocks.len())];
        *visited = new;
    }
    began.elapsed()
}

/// Picoseconds of each.
pub fn each(time: Duration, times: usize) -> u64 {
    time.as_nanos() as u64 * 1000 / times.max(1) as u64
}
