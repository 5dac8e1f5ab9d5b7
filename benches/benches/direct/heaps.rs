//! A million blocks: freed one by one, and dropped with a heap of their own.

use std::alloc::Layout;
use std::hint::black_box;
use std::ptr::NonNull;

use brkmap::Heap;
use criterion::{BatchSize, Criterion, Throughput};

use crate::block::Boxed;

const COUNT: usize = 1_000_000;
type Value = [u64; 8];

/// A heap with a million blocks, each of which was written to, and their addresses where those are wanted.
fn filled(mut note: impl FnMut(NonNull<u8>)) -> Heap {
    let heap = Heap::new();
    for _ in 0..COUNT {
        let block = heap.alloc(Layout::new::<Value>()).expect("there is memory");
        // SAFETY: a new block of this layout.
        unsafe { block.cast::<Value>().write([1; 8]) };
        note(block);
    }
    heap
}

/// Their end.
pub fn freed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("million/freed");
    group.sample_size(10).throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("heap dropped", |b| {
        b.iter_batched(|| filled(|_| ()), drop, BatchSize::PerIteration);
    });
    group.bench_function("heap, one by one", |b| {
        let blocks = || {
            let mut blocks = Vec::with_capacity(COUNT);
            let heap = filled(|block| blocks.push(block));
            (heap, blocks)
        };
        b.iter_batched_ref(
            blocks,
            |(heap, blocks)| {
                for block in blocks.drain(..) {
                    // SAFETY: the heap's block of this layout.
                    unsafe { heap.dealloc(block, Layout::new::<Value>()) };
                }
            },
            BatchSize::PerIteration,
        );
    });
    each!(|name, allocator| {
        let blocks = || (0..COUNT).map(|_| Boxed::new(allocator, [1u64; 8])).collect::<Vec<_>>();
        group.bench_function(format!("{name}, one by one"), |b| {
            b.iter_batched_ref(blocks, Vec::clear, BatchSize::PerIteration);
        });
    });
}

/// Their whole life.
pub fn lived(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("million/lived");
    group.sample_size(10).throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("heap dropped", |b| b.iter(|| drop(black_box(filled(|_| ())))));
    each!(|name, allocator| {
        group.bench_function(format!("{name}, one by one"), |b| {
            let blocks = || (0..COUNT).map(|_| Boxed::new(allocator, [1u64; 8])).collect::<Vec<_>>();
            b.iter(|| drop(black_box(blocks())));
        });
    });
}
