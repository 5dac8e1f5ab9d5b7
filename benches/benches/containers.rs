//! What a program's containers cost, by way of its global allocator. There is one of those to a program, so
//! each allocator is a run of its own; criterion shows them side by side, for the names are the same.

use std::hint::black_box;
use std::time::Duration;

use brkmap_benches::workloads::{self, Plan};
use criterion::Criterion;

#[path = "../src/global.rs"]
mod global;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for name in ["strings", "maps", "trees", "vectors"] {
        let workload = workloads::find(name).expect("the workload has this name");
        let mut group = criterion.benchmark_group(format!("containers/{name}"));
        group.bench_function(global::NAME, |bencher| {
            bencher.iter(|| (workload.run)(black_box(Plan { scale: 1, threads: 1 })));
        });
    }
    criterion.final_summary();
}
