//! More than one thread.

use std::alloc::GlobalAlloc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use fastrand::Rng;

use crate::block::Block;

const BATCH: usize = 200;
const SESSIONS: usize = 1000;

/// A batch that one thread allocates and another frees.
pub fn handoff(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("threads/handoff");
    group.throughput(Throughput::Elements(BATCH as u64));
    each!(|name, allocator| group.bench_function(name, |b| b.iter_custom(|times| hand_off(allocator, times))));
}

fn hand_off<A: GlobalAlloc + Sync>(allocator: &'static A, times: u64) -> Duration {
    let (out, into) = sync_channel::<Vec<Block<A>>>(16);
    let consumer =
        thread::spawn(move || into.iter().flatten().fold(0u64, |sum, block| sum + u64::from(block.first())));
    let mut dice = Rng::with_seed(3);
    let began = Instant::now();
    for _ in 0..times {
        let batch = (0..BATCH).map(|_| Block::new(allocator, dice.usize(16..400))).collect();
        out.send(batch).expect("the consumer is there to the end");
    }
    drop(out);
    consumer.join().expect("the consumer ends");
    began.elapsed()
}

/// Larson's server on two threads: a replaced session an element.
pub fn server(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("threads/server");
    group.throughput(Throughput::Elements(2));
    each!(|name, allocator| group.bench_function(name, |b| b.iter_custom(|times| serve(allocator, times))));
}

fn serve<A: GlobalAlloc + Sync>(allocator: &'static A, times: u64) -> Duration {
    let mut dice = Rng::with_seed(4);
    let mut session = move || Block::new(allocator, dice.usize(10..500));
    // Made here and replaced there: each thread frees at first what another one allocated.
    let mut tables: Vec<Vec<Block<A>>> = (0..2).map(|_| (0..SESSIONS).map(|_| session()).collect()).collect();
    let began = Instant::now();
    thread::scope(|scope| {
        for (number, table) in tables.iter_mut().enumerate() {
            let mut dice = Rng::with_seed(5 + number as u64);
            scope.spawn(move || {
                for _ in 0..times {
                    table[dice.usize(..SESSIONS)] = Block::new(allocator, dice.usize(10..500));
                }
            });
        }
    });
    began.elapsed()
}

/// A thread that starts, allocates a little, and ends; what it leaves is freed here.
pub fn churn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("threads/churn");
    each!(|name, allocator| group.bench_function(name, |b| {
        b.iter(|| {
            let brief = thread::spawn(|| {
                let mut blocks: Vec<_> = (0..BATCH).map(|at| Block::new(allocator, 16 + at)).collect();
                blocks.truncate(BATCH / 8);
                blocks
            });
            brief.join().expect("a brief thread ends").len()
        })
    }));
}
