//! A hundred thousand live blocks, small ones mostly, replaced at random: what a long-running program does.

use super::{Plan, block, mix};

const LIVE: usize = 100_000;

pub fn run(plan: Plan) -> u64 {
    let mut dice = fastrand::Rng::with_seed(3);
    let mut blocks: Vec<Vec<u8>> = (0..LIVE).map(|at| block(size(&mut dice), at as u8)).collect();
    let mut sum = 0u64;
    for round in 0..plan.times(10_000_000) {
        let place = &mut blocks[dice.usize(..LIVE)];
        sum = mix(sum, u64::from(place[0]));
        *place = block(size(&mut dice), round as u8);
    }
    sum
}

/// Each doubling half as often: 8 to 15 bytes in half of the cases, up to 4 KiB in one of 256.
fn size(dice: &mut fastrand::Rng) -> usize {
    let doublings = dice.u32(1..256).leading_zeros() - 24;
    let foot = 8usize << doublings;
    foot + dice.usize(..foot)
}
