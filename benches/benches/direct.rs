//! Allocators side by side in one process, called by way of `GlobalAlloc`, which a compiler that sees them
//! inlines as it does for the global allocator.
//!
//! ```text
//!   peers ─▶ each! ─▶ pairs  batches  heaps  resize  threads       by way of block::{Boxed, Block}
//! ```

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

#[path = "direct/peers.rs"]
#[macro_use]
mod peers;

#[path = "direct/batches.rs"]
mod batches;
#[path = "direct/block.rs"]
mod block;
#[path = "direct/heaps.rs"]
mod heaps;
#[path = "direct/pairs.rs"]
mod pairs;
#[path = "direct/resize.rs"]
mod resize;
#[path = "direct/threads.rs"]
mod threads;

fn settings() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! {
    name = direct;
    config = settings();
    targets = pairs::constant, pairs::dynamic, pairs::zeroed, pairs::aligned, batches::orders, batches::live,
        heaps::freed, heaps::lived, resize::small, resize::large, threads::handoff, threads::server, threads::churn
}
criterion_main!(direct);
