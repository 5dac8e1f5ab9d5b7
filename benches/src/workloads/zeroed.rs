//! Memory that has to be zero: tables of 64 bytes to 1 MiB, of which a part is then used.

use super::{Plan, mix};

pub fn run(plan: Plan) -> u64 {
    let mut dice = fastrand::Rng::with_seed(9);
    let mut tables: [Vec<u64>; 32] = Default::default();
    let mut sum = 0u64;
    for round in 0..plan.times(400_000) {
        // Mostly small: one of 64 is above 64 KiB.
        let words = if round % 64 == 0 { dice.usize(8192..131_072) } else { dice.usize(8..1024) };
        let mut table = vec![0u64; words];
        for _ in 0..8 {
            let at = dice.usize(..words);
            sum = sum.wrapping_add(table[at]);
            table[at] = round;
        }
        sum = mix(sum, table[words - 1]);
        tables[dice.usize(..32)] = table;
    }
    sum
}
