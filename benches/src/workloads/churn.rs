//! Threads that live for a moment: each allocates a little, frees most, and leaves the rest to its parent.

use std::thread;

use super::{Plan, block, mix, seed};

const BLOCKS: usize = 400;

pub fn run(plan: Plan) -> u64 {
    let mut sum = 0u64;
    let waves = plan.times(12_000) / plan.threads as u64;
    for wave in 0..waves {
        let threads: Vec<_> =
            (0..plan.threads).map(|number| thread::spawn(move || brief(seed(14 + wave, number)))).collect();
        for thread in threads {
            let left = thread.join().expect("a brief thread ends");
            sum = left.iter().fold(sum, |sum, block| mix(sum, u64::from(block[0])));
        }
    }
    sum
}

fn brief(seed: u64) -> Vec<Vec<u8>> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|_| block(dice.usize(16..600), dice.u8(..))).collect();
    blocks.truncate(BLOCKS / 8);
    blocks
}
