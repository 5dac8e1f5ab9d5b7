//! What one replacement costs among ever more live blocks.
//!
//! Among many blocks each visit misses the caches, whoever allocated them. So the same visits are made
//! twice: once only touching the block, once replacing it; the difference is the allocator's.

use std::hint::black_box;
use std::time::Instant;

use super::line::Line;

const VISITS: u64 = 1_000_000;

pub fn measure(live: usize) -> Line {
    let mut dice = fastrand::Rng::with_seed(live as u64);
    let began = Instant::now();
    let mut blocks: Vec<Vec<u8>> = (0..live).map(|_| block(&mut dice)).collect();
    let filled = began.elapsed();

    let mut sum = 0u64;
    let began = Instant::now();
    for _ in 0..VISITS {
        let size = size(&mut dice);
        let visited = &mut blocks[dice.usize(..live)];
        visited[0] = visited[0].wrapping_add(size as u8);
        sum = sum.wrapping_add(u64::from(visited[0]));
    }
    let touched = began.elapsed();

    let began = Instant::now();
    for _ in 0..VISITS {
        let new = block(&mut dice);
        let visited = &mut blocks[dice.usize(..live)];
        *visited = new;
    }
    let replaced = began.elapsed();

    let began = Instant::now();
    sum = blocks.iter().fold(sum, |sum, block| sum.wrapping_add(block.capacity() as u64));
    drop(black_box(blocks));
    let freed = began.elapsed();

    let each = |time: std::time::Duration, times: u64| time.as_nanos() as u64 * 1000 / times;
    Line::default()
        .with("checksum", sum)
        .with("fill_ps", each(filled, live as u64))
        .with("touch_ps", each(touched, VISITS))
        .with("replace_ps", each(replaced, VISITS))
        .with("free_ps", each(freed, live as u64))
        .with("peak_kib", crate::memory::peak_kib())
}

fn size(dice: &mut fastrand::Rng) -> usize {
    dice.usize(16..128)
}

fn block(dice: &mut fastrand::Rng) -> Vec<u8> {
    let mut block = Vec::with_capacity(size(dice));
    // Its first cache line only: the block is the allocator's matter, its contents are not.
    block.push(1);
    block
}
