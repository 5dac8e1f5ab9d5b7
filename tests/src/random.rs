//! Random numbers and sizes: the same seed gives the same run, and it needs no memory.

use fastrand::Rng;

pub struct Random(Rng);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    pub fn word(&mut self) -> u64 {
        self.0.u64(..)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0.usize(..limit)
    }

    pub fn between(&mut self, low: usize, high: usize) -> usize {
        self.0.usize(low..=high)
    }

    /// A size with every power of two up to `high` equally likely: small ones are not drowned by large ones.
    pub fn size(&mut self, high: usize) -> usize {
        let bits = self.below(high.ilog2() as usize + 1);
        self.between(1 << bits, ((2 << bits) - 1).min(high))
    }

    /// Puts the slice into random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }
}
