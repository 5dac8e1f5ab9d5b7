//! Batches of blocks of 16 bytes to 1 KiB, freed last first, first first, and in random order.

use super::{Plan, block, mix};

const BATCH: usize = 2000;

pub fn run(plan: Plan) -> u64 {
    let mut dice = fastrand::Rng::with_seed(2);
    let mut order: Vec<usize> = (0..BATCH).collect();
    dice.shuffle(&mut order);
    let mut batch: Vec<Vec<u8>> = Vec::with_capacity(BATCH);
    let mut sum = 0u64;
    for round in 0..plan.times(6_000) {
        batch.extend((0..BATCH).map(|_| block(16 + dice.usize(..1008), dice.u8(..))));
        sum = batch.iter().fold(sum, |sum, block| mix(sum, u64::from(block[0])));
        match round % 3 {
            0 => while batch.pop().is_some() {},
            1 => batch.clear(),
            _ => {
                order.iter().for_each(|&at| batch[at] = Vec::new());
                batch.clear();
            }
        }
    }
    sum
}
