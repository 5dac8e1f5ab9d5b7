//! Many blocks at a time.

use criterion::{BatchSize, Criterion, Throughput};
use fastrand::Rng;

use crate::block::Block;

const BATCH: usize = 1000;

/// A batch of 16 to 1024 bytes each, freed in three orders.
pub fn orders(criterion: &mut Criterion) {
    let mut dice = Rng::with_seed(1);
    let sizes: Vec<usize> = (0..BATCH).map(|_| dice.usize(16..1024)).collect();
    let mut random: Vec<usize> = (0..BATCH).collect();
    dice.shuffle(&mut random);
    let first_first: Vec<usize> = (0..BATCH).collect();
    let last_first: Vec<usize> = (0..BATCH).rev().collect();
    for (order, places) in [("lifo", last_first), ("fifo", first_first), ("random", random)] {
        let mut group = criterion.benchmark_group(format!("batch/{order}"));
        group.throughput(Throughput::Elements(BATCH as u64));
        each!(|name, allocator| {
            let mut batch: Vec<Option<Block<_>>> = (0..BATCH).map(|_| None).collect();
            group.bench_function(name, |b| {
                b.iter(|| {
                    for (place, &size) in batch.iter_mut().zip(&sizes) {
                        *place = Some(Block::new(allocator, size));
                    }
                    places.iter().for_each(|&place| batch[place] = None);
                })
            });
        });
    }
}

/// One of a hundred thousand live blocks is replaced, at random.
pub fn live(criterion: &mut Criterion) {
    const LIVE: usize = 100_000;
    let mut group = criterion.benchmark_group("live/100000");
    each!(|name, allocator| {
        let mut dice = Rng::with_seed(2);
        let mut blocks: Vec<_> = (0..LIVE).map(|_| Block::new(allocator, dice.usize(16..512))).collect();
        group.bench_function(name, |b| {
            b.iter_batched(
                || (dice.usize(..LIVE), dice.usize(16..512)),
                |(place, size)| blocks[place] = Block::new(allocator, size),
                BatchSize::SmallInput,
            )
        });
    });
}
