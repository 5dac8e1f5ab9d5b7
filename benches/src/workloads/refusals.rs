//! Requests that no address space can hold: beside small blocks, and in a heap of megabytes with holes.

use super::{Plan, block, mix};

const BEYOND: usize = 1 << 50;
const BLOCKS: usize = 4000;
const SIZE: usize = 8000;

pub fn run(plan: Plan) -> u64 {
    let mut sum = 0u64;
    for round in 0..plan.times(300_000) {
        sum = mix(sum, refused());
        sum = mix(sum, u64::from(block(16, round as u8)[0]));
    }
    let mut blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|at| vec![at as u8; SIZE]).collect();
    blocks.iter_mut().step_by(2).for_each(|block| *block = Vec::new());
    for round in 0..plan.times(10_000) {
        sum = mix(sum, refused());
        for place in blocks.iter_mut().step_by(2).take(50) {
            *place = vec![round as u8; SIZE];
        }
        for place in blocks.iter_mut().step_by(2).take(50) {
            sum = mix(sum, u64::from(place[SIZE - 1]));
            *place = Vec::new();
        }
    }
    sum
}

fn refused() -> u64 {
    u64::from(Vec::<u8>::new().try_reserve_exact(BEYOND).is_err())
}
