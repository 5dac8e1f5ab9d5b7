//! Blocks of 32 to 128 KiB: buffers, stacks, tables. Their first and their last byte is written.

use std::sync::mpsc::sync_channel;
use std::thread;

use super::{Plan, mix, seed};

/// Alive at a time, of each thread.
const FEW: usize = 16;
const MANY: usize = 1000;
/// Threads hand blocks over by so many.
const BATCH: usize = 16;

/// Few alive, the oldest replaced.
pub fn one(plan: Plan) -> u64 {
    pairs(plan.times(2_000_000), 0)
}

/// The same by every thread.
pub fn several(plan: Plan) -> u64 {
    let each = plan.times(2_000_000) / plan.threads as u64;
    let threads: Vec<_> =
        (0..plan.threads).map(|number| thread::spawn(move || pairs(each, number))).collect();
    threads.into_iter().map(|thread| thread.join().expect("a thread ends")).fold(0, u64::wrapping_add)
}

/// One thread allocates, another one frees.
pub fn handed(plan: Plan) -> u64 {
    let batches = plan.times(800_000) / BATCH as u64;
    let (out, into) = sync_channel::<Vec<Vec<u8>>>(8);
    let producer = thread::spawn(move || {
        let mut dice = fastrand::Rng::with_seed(seed(17, 0));
        for _ in 0..batches {
            let batch = (0..BATCH).map(|at| written(size(&mut dice), at as u8)).collect();
            out.send(batch).expect("the consumer is there to the end");
        }
    });
    let sum = into.iter().flatten().fold(0, |sum, block| taken(sum, &block));
    producer.join().expect("the producer ends");
    sum
}

/// Many alive, any of them replaced.
pub fn live(plan: Plan) -> u64 {
    let mut dice = fastrand::Rng::with_seed(seed(18, 0));
    let mut blocks: Vec<Vec<u8>> = (0..MANY).map(|at| written(size(&mut dice), at as u8)).collect();
    let mut sum = 0;
    for round in 0..plan.times(400_000) {
        let place = &mut blocks[dice.usize(..MANY)];
        sum = taken(sum, place);
        // Freed first, as a buffer is that is made anew.
        *place = Vec::new();
        *place = written(size(&mut dice), round as u8);
    }
    sum
}

fn pairs(rounds: u64, thread: usize) -> u64 {
    let mut dice = fastrand::Rng::with_seed(seed(16, thread));
    let mut blocks: [Vec<u8>; FEW] = Default::default();
    let mut sum = 0;
    for round in 0..rounds {
        let place = &mut blocks[round as usize % FEW];
        sum = taken(sum, place);
        *place = Vec::new();
        *place = written(size(&mut dice), round as u8);
    }
    sum
}

/// Above what slabs serve and below the mmap threshold; each doubling as often as the other.
fn size(dice: &mut fastrand::Rng) -> usize {
    let foot = (32 << 10) << dice.u32(..2);
    foot + dice.usize(..foot)
}

fn written(size: usize, tag: u8) -> Vec<u8> {
    let mut block = Vec::with_capacity(size);
    block.spare_capacity_mut()[size - 1].write(tag);
    block.push(tag);
    block
}

fn taken(sum: u64, block: &[u8]) -> u64 {
    mix(sum, block.first().map_or(0, |&tag| u64::from(tag)))
}
