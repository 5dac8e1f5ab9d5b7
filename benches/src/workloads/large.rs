//! Blocks of 1 to 8 MiB, eight at a time, replaced at random and a byte of each page written.

use super::{Plan, mix};

const LIVE: usize = 8;
const PAGE: usize = 4096;

pub fn run(plan: Plan) -> u64 {
    let mut dice = fastrand::Rng::with_seed(8);
    let mut blocks: [Vec<u8>; LIVE] = Default::default();
    let mut sum = 0u64;
    for round in 0..plan.times(400) {
        let pages = dice.usize(256..2048);
        let mut block: Vec<u8> = Vec::with_capacity(pages * PAGE);
        for page in block.spare_capacity_mut().chunks_mut(PAGE) {
            page[0].write(round as u8);
        }
        block.push(pages as u8);
        let place = &mut blocks[dice.usize(..LIVE)];
        sum = mix(sum, place.first().map_or(0, |&byte| u64::from(byte)));
        *place = block;
    }
    sum
}
