//! Memory that swings: a heap of small blocks of which one in 128 stays, over and over. What goes back to the kernel in
//! between has to be had again.

use super::{Plan, block, mix};

const BLOCKS: usize = 64 * 1024;
const SIZE: usize = 512;
const KEPT: usize = 128;

pub fn run(plan: Plan) -> u64 {
    let mut blocks: Vec<Vec<u8>> = vec![Vec::new(); BLOCKS];
    let mut sum = 0u64;
    for round in 0..plan.times(100) {
        for (at, place) in blocks.iter_mut().enumerate().filter(|(_, place)| place.capacity() == 0) {
            *place = block(SIZE, (at as u64 + round) as u8);
        }
        for (at, place) in blocks.iter_mut().enumerate() {
            sum = mix(sum, u64::from(place[0]));
            // Another one stays each time: none of them can be put aside for good.
            if !(at as u64 + round).is_multiple_of(KEPT as u64) {
                *place = Vec::new();
            }
        }
    }
    sum
}
