//! What it costs to read the statistics, by how many threads have a heap: each of them has a few blocks, and sleeps.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use brkmap::{BrkMap, Residency, Stats};
use criterion::Criterion;

#[global_allocator]
static GLOBAL: BrkMap = BrkMap::new();

const HEAPS: [usize; 3] = [1, 200, 10_000];

/// Has so many threads more sleep, each with blocks of several sizes.
fn sleepers(count: usize) {
    let made = Arc::new(Barrier::new(count + 1));
    for _ in 0..count {
        let made = made.clone();
        let thread = std::thread::Builder::new().stack_size(64 << 10).spawn(move || {
            let blocks: Vec<_> = [10, 100, 1000].into_iter().map(|size| vec![1u8; size]).collect();
            made.wait();
            loop {
                std::thread::park();
                black_box(&blocks);
            }
        });
        thread.expect("a thread more");
    }
    made.wait();
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut there = 1;
    for heaps in HEAPS {
        sleepers(heaps - there);
        there = heaps;
        let (found, bytes) = (Stats::heaps().count(), Stats::read().active);
        println!("{found} heaps with {} KiB of slabs, spans and mappings", bytes >> 10);
        let mut group = criterion.benchmark_group(format!("statistics/{heaps}"));
        group.bench_function("Stats::read", |bencher| bencher.iter(Stats::read));
        group.bench_function("Stats::classes", |bencher| bencher.iter(Stats::classes));
        group.bench_function("Stats::heaps", |bencher| bencher.iter(|| Stats::heaps().count()));
        group.bench_function("Residency::read", |bencher| bencher.iter(Residency::read));
        group.finish();
    }
    criterion.final_summary();
}
