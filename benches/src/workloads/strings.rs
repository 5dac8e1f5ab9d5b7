//! Text: words made, joined, split, changed and sorted.

use std::fmt::Write;

use super::{Plan, mix};

pub fn run(plan: Plan) -> u64 {
    let mut dice = fastrand::Rng::with_seed(4);
    let mut sum = 0u64;
    for _ in 0..plan.times(300) {
        let words: Vec<String> = (0..4000).map(|_| word(&mut dice)).collect();
        let text = words.join(" ");
        let mut found: Vec<String> = text.split(' ').map(str::to_uppercase).collect();
        found.sort_unstable();
        found.dedup();
        let mut line = String::new();
        for (at, word) in found.iter().enumerate() {
            write!(line, "{at}:{word},").expect("a string takes what is written");
        }
        let pieces: Vec<String> = line.split(',').map(|piece| piece.replace(':', " = ")).collect();
        sum = pieces.iter().fold(sum, |sum, piece| mix(sum, piece.len() as u64));
    }
    sum
}

fn word(dice: &mut fastrand::Rng) -> String {
    (0..dice.usize(3..24)).map(|_| dice.lowercase()).collect()
}
