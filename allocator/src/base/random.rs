//! Random numbers for samples: a sequence that all threads share, and distances in bytes.
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators"): its state only counts,
/// so any number of threads may draw from it.
pub struct Random(AtomicU64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    pub const fn new() -> Self {
        Random(AtomicU64::new(0))
    }

    pub fn seed(&self, seed: u64) {
        // Relaxed, here and below: a number that publishes nothing.
        self.0.store(seed, Ordering::Relaxed);
    }

    fn next(&self) -> u64 {
        let mut word = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// An exponentially distributed distance of this mean: how far it is from any point to the next event of
    /// those that come at random, one in `mean` units.
    pub fn distance(&self, mean: f64) -> f64 {
        // In (0, 1].
        let uniform = ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        -ln(uniform) * mean
    }
}

/// The natural logarithm of a positive, normal number. std's is a function of libm, which the library does
/// without.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i64 - 1023;
    let mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    // ln m = 2 artanh((m - 1) / (m + 1)), which converges fast below a third.
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let sum = (0..18).rev().fold(0.0, |sum, k| sum * square + 1.0 / (2 * k + 1) as f64);
    exponent as f64 * core::f64::consts::LN_2 + 2.0 * ratio * sum
}

/// How many blocks of `size` bytes a sampled one stands for, where a byte in `mean` is a sample: one by the
/// probability that a block has a sample in it, which is 1 - e^(-size / mean).
pub fn weight(size: usize, mean: usize) -> f64 {
    let x = size as f64 / mean.max(1) as f64;
    let share = if x < 0.5 {
        // Without the difference of two numbers that are almost the same.
        (1..20).rev().fold(0.0, |sum, n| (1.0 - sum) * x / n as f64)
    } else {
        1.0 - powers_of_e(-x)
    };
    1.0 / share
}

/// e to a power below 0.
fn powers_of_e(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    let halvings = 10;
    let small = x / (1u64 << halvings) as f64;
    let series = (1..16).rev().fold(1.0, |sum, n| 1.0 + sum * small / n as f64);
    (0..halvings).fold(series, |power, _| power * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_and_weights_are_those_of_the_standard_library() {
        for x in [1.0, 0.5, 1e-16, 0.999_999, 0.31, 2.0 / 3.0] {
            assert!((ln(x) - f64::ln(x)).abs() < 1e-13 * (1.0 + f64::ln(x).abs()), "{x}");
        }
        for (size, mean) in
            [(16, 524_288), (4096, 524_288), (262_143, 524_288), (1 << 20, 1000), (48, 1), (7, 7)]
        {
            let expected = 1.0 / -f64::exp_m1(-(size as f64) / mean as f64);
            let got = weight(size, mean);
            assert!((got - expected).abs() < 1e-12 * expected, "{size} {mean}: {got} {expected}");
        }
    }

    #[test]
    fn distances_have_their_mean_and_their_tail() {
        let random = Random::new();
        random.seed(7);
        let count = if cfg!(miri) { 2_000 } else { 200_000 };
        let drawn: Vec<f64> = (0..count).map(|_| random.distance(100.0)).collect();
        let mean = drawn.iter().sum::<f64>() / count as f64;
        // A standard deviation is 100 / sqrt(count).
        assert!((mean - 100.0).abs() < 500.0 / (count as f64).sqrt(), "{mean}");
        let beyond = drawn.iter().filter(|&&distance| distance > 300.0).count() as f64 / count as f64;
        let expected = f64::exp(-3.0);
        assert!((beyond - expected).abs() < 5.0 * (expected / count as f64).sqrt(), "{beyond}");
    }
}
