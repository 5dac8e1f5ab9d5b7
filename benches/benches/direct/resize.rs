//! Blocks that grow.

use std::hint::black_box;

use criterion::Criterion;

use crate::block::Block;

/// From 16 bytes to 16 KiB, by half each time, with a neighbour in the way.
pub fn small(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("realloc/small");
    each!(|name, allocator| group.bench_function(name, |b| {
        b.iter(|| {
            let mut block = Block::new(allocator, 16);
            let mut size = 16;
            while size < 16 << 10 {
                let neighbour = Block::new(allocator, size);
                size += size / 2;
                block.resize(black_box(size));
                drop(neighbour);
            }
            block.first()
        })
    }));
}

/// From 64 KiB to 64 MiB, doubled each time.
pub fn large(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("realloc/large");
    each!(|name, allocator| group.bench_function(name, |b| {
        b.iter(|| {
            let mut block = Block::new(allocator, 64 << 10);
            for doublings in 1..=10 {
                block.resize(black_box(64 << 10 << doublings));
            }
            block.first()
        })
    }));
}
