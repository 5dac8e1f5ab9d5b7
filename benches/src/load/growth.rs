//! What one replacement costs among ever more live blocks.
//!
//! Among many blocks each visit misses the caches, whoever allocated them. So the same visits are made
//! twice: once only touching the block, once replacing it; the difference is the allocator's.

use std::hint::black_box;
use std::time::Instant;

use brkmap_witness::memory;

use super::kib;
use super::line::Line;
use super::visits::{Block, Turn, block, each, replace, small_size, touch};

const VISITS: usize = 1_000_000;

pub fn measure(live: usize) -> Line {
    let mut dice = fastrand::Rng::with_seed(live as u64);
    let began = Instant::now();
    let mut blocks: Vec<Block> = (0..live).map(|_| block(small_size(&mut dice))).collect();
    let filled = began.elapsed();

    let (touched, sum) = touch(&mut blocks, VISITS, Turn::Early, small_size, &mut dice);
    let replaced = replace(&mut blocks, VISITS, small_size, &mut dice);

    let began = Instant::now();
    let sum = blocks.iter().fold(sum, |sum, block| sum.wrapping_add(block.capacity() as u64));
    drop(black_box(blocks));
    let freed = began.elapsed();

    Line::default()
        .with("checksum", sum)
        .with("fill_ps", each(filled, live))
        .with("touch_ps", each(touched, VISITS))
        .with("replace_ps", each(replaced, VISITS))
        .with("free_ps", each(freed, live))
        .with("peak_kib", kib(memory::peak()))
}
