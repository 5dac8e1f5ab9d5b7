//! One block at a time: asked for, written, given back.

use std::hint::black_box;

use criterion::Criterion;

use crate::block::{Block, Boxed};

/// The size is in the code: what an inlined allocator can make of it.
pub fn constant(criterion: &mut Criterion) {
    macro_rules! of {
        ($words:literal) => {{
            let mut group = criterion.benchmark_group(format!("pair/constant/{}", 8 * $words));
            each!(|name, allocator| group
                .bench_function(name, |b| b.iter(|| drop(black_box(Boxed::new(allocator, [1u64; $words]))))));
        }};
    }
    of!(2);
    of!(4);
    of!(32);
    of!(256);
}

/// The size comes from memory.
pub fn dynamic(criterion: &mut Criterion) {
    for size in [16, 64, 1024, 8192, 100_000, 1 << 20] {
        let mut group = criterion.benchmark_group(format!("pair/dynamic/{size}"));
        each!(|name, allocator| group
            .bench_function(name, |b| b.iter(|| drop(black_box(Block::new(allocator, black_box(size)))))));
    }
}

pub fn zeroed(criterion: &mut Criterion) {
    for size in [64, 4096, 64 << 10, 1 << 20] {
        let mut group = criterion.benchmark_group(format!("zeroed/{size}"));
        each!(|name, allocator| group
            .bench_function(name, |b| b.iter(|| drop(black_box(Block::zeroed(allocator, black_box(size)))))));
    }
}

pub fn aligned(criterion: &mut Criterion) {
    for (size, align) in [(100, 64), (512, 256), (4096, 4096), (20_000, 65_536)] {
        let mut group = criterion.benchmark_group(format!("aligned/{size}-to-{align}"));
        each!(|name, allocator| group.bench_function(name, |b| {
            b.iter(|| drop(black_box(Block::aligned(allocator, black_box(size), black_box(align)))))
        }));
    }
}
