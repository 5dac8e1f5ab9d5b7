//! Maps from text and from numbers, filled, changed and emptied.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};

use super::{Plan, mix};

pub fn run(plan: Plan) -> u64 {
    let mut dice = fastrand::Rng::with_seed(5);
    let mut sum = 0u64;
    for _ in 0..plan.times(50) {
        // The hasher without a random key: every run does the same.
        let mut lists: HashMap<String, Vec<u32>, BuildHasherDefault<DefaultHasher>> = HashMap::default();
        let mut tree: BTreeMap<u64, Box<[u8; 40]>> = BTreeMap::new();
        for round in 0..40_000u32 {
            let key = dice.u32(..12_000);
            lists.entry(key.to_string()).or_default().push(round);
            tree.insert(u64::from(key) << 20 | u64::from(round), Box::new([round as u8; 40]));
            if round % 3 == 0 {
                if let Some(list) = lists.remove(&dice.u32(..12_000).to_string()) {
                    sum = list.iter().fold(sum, |sum, &item| sum.wrapping_add(u64::from(item)));
                }
                if let Some((_, value)) = tree.pop_first() {
                    sum = mix(sum, u64::from(value[39]));
                }
            }
        }
        sum = tree.values().fold(sum, |sum, value| sum.wrapping_add(u64::from(value[0])));
    }
    sum
}
