//! Vectors that grow by pushing: thousands of short ones side by side, and a few to many megabytes.

use super::{Plan, mix};

pub fn run(plan: Plan) -> u64 {
    let mut dice = fastrand::Rng::with_seed(7);
    let mut sum = 0u64;
    for _ in 0..plan.times(80) {
        // Side by side, so that none can grow in place for long.
        let mut short: Vec<Vec<u32>> = vec![Vec::new(); 3000];
        for item in 0..300_000 {
            short[dice.usize(..3000)].push(item);
        }
        sum = short.iter().fold(sum, |sum, list| mix(sum, list.len() as u64));
    }
    for _ in 0..plan.times(40) {
        let mut long: Vec<u64> = Vec::new();
        let mut other: Vec<u64> = Vec::new();
        for item in 0..1_000_000 {
            long.push(item);
            if item % 4 == 0 {
                other.push(item);
            }
        }
        sum = sum.wrapping_add(long[999_999] ^ other[249_999]);
    }
    sum
}
