//! Producers that only allocate, consumers that only free: batches go through a channel between each two.

use std::sync::mpsc::sync_channel;
use std::thread;

use super::{Plan, block, mix, seed};

const BATCH: usize = 200;

pub fn run(plan: Plan) -> u64 {
    let pairs = (plan.threads / 2).max(1);
    let batches = plan.times(40_000) / pairs as u64;
    let lines: Vec<_> = (0..pairs)
        .map(|line| {
            let (out, into) = sync_channel::<Vec<Vec<u8>>>(16);
            let producer = thread::spawn(move || {
                let mut dice = fastrand::Rng::with_seed(seed(12, line));
                for _ in 0..batches {
                    let batch = (0..BATCH).map(|at| block(dice.usize(16..400), at as u8)).collect();
                    out.send(batch).expect("the consumer is there to the end");
                }
            });
            let consumer = thread::spawn(move || {
                let each = |sum: u64, block: &Vec<u8>| mix(sum, u64::from(block[0]));
                into.iter().fold(0u64, |sum, batch| batch.iter().fold(sum, each))
            });
            (producer, consumer)
        })
        .collect();
    lines.into_iter().fold(0u64, |sum, (producer, consumer)| {
        producer.join().expect("a producer ends");
        sum.wrapping_add(consumer.join().expect("a consumer ends"))
    })
}
