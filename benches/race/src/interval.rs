//! A median, and between which two values it lies with 95 % certainty: by bootstrap.
//!
//! The values are drawn again and again, as many as there are, with repetition; the median of each draw is one that
//! could as well have been measured. The middle 95 % of those would be the interval, and hold the truth 90 times of 100
//! with fifteen values: few values do not show how far they spread. So it takes some more of them, by as much as
//! Student's t is wider than the normal distribution (Hesterberg's expanded percentile interval). Nothing is supposed of
//! how the values are spread, and one that a busy machine threw far out moves little.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::statistics::median;

/// With fewer, even the whole range of the values holds the median less often than 95 times of 100.
pub const LEAST: usize = 6;

const DRAWS: usize = 2000;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub middle: f64,
    pub low: f64,
    pub high: f64,
}

impl Interval {
    /// As a part of the middle: 0.02 is 2 %.
    pub fn width(&self) -> f64 {
        (self.high - self.low) / self.middle
    }

    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// Of the median. `None` of fewer than [`LEAST`] values. The same seed gives the same interval.
pub fn of_median(values: &[f64], seed: u64) -> Option<Interval> {
    let middle = median(values).filter(|_| values.len() >= LEAST)?;
    let sorted = sorted(values);
    let mut dice = Rng::with_seed(seed);
    let mut places = Vec::with_capacity(sorted.len());
    let medians = (0..DRAWS).map(|_| drawn_median(&sorted, &mut places, &mut dice)).collect();
    Some(around(middle, medians, values.len()))
}

/// Of the geometric mean of the rows' medians: each row is drawn by itself. `None` without rows, and where one has
/// too few values.
pub fn of_mean(rows: &[Vec<f64>], seed: u64) -> Option<Interval> {
    if rows.is_empty() || rows.iter().any(|row| row.len() < LEAST || row.iter().any(|&value| value <= 0.0)) {
        return None;
    }
    let mean = |logarithms: f64| (logarithms / rows.len() as f64).exp();
    let middle = mean(rows.iter().filter_map(|row| median(row)).map(f64::ln).sum());
    let rows: Vec<Vec<f64>> = rows.iter().map(|row| sorted(row)).collect();
    let mut dice = Rng::with_seed(seed);
    let mut places = Vec::new();
    let means =
        (0..DRAWS).map(|_| mean(rows.iter().map(|row| drawn_median(row, &mut places, &mut dice).ln()).sum()));
    // The rows make up for each other: what counts is how many values there are of all.
    Some(around(middle, means.collect(), rows.iter().map(Vec::len).sum()))
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The median of one draw: that of the places, for the values are in order.
fn drawn_median(sorted: &[f64], places: &mut Vec<usize>, dice: &mut Rng) -> f64 {
    places.clear();
    places.extend((0..sorted.len()).map(|_| dice.usize(..sorted.len())));
    let middle = sorted.len() / 2;
    let (below, &mut upper, _) = places.select_nth_unstable(middle);
    match below.iter().max() {
        Some(&lower) if sorted.len().is_multiple_of(2) => f64::midpoint(sorted[lower], sorted[upper]),
        _ => sorted[upper],
    }
}

fn around(middle: f64, mut drawn: Vec<f64>, values: usize) -> Interval {
    drawn.sort_by(f64::total_cmp);
    let at = |part: f64| drawn[((drawn.len() - 1) as f64 * part).round() as usize];
    let tail = tail(values);
    Interval { middle, low: at(tail).min(middle), high: at(1.0 - tail).max(middle) }
}

/// The part of the draws that is left out at each end: 0.025 for many values, less for few.
fn tail(values: usize) -> f64 {
    /// Where the normal distribution has a fortieth beyond.
    const NORMAL: f64 = 1.959_964;
    let free = values as f64 - 1.0;
    let [one, three, five] = [1, 3, 5].map(|power| NORMAL.powi(power));
    // Cornish and Fisher's expansion of Student's t.
    let student =
        one + (three + one) / (4.0 * free) + (5.0 * five + 16.0 * three + 3.0 * one) / (96.0 * free * free);
    normal_beyond(student * (values as f64 / free).sqrt())
}

/// How much of the normal distribution lies beyond `x`, by Abramowitz and Stegun's 26.2.17: to seven places.
fn normal_beyond(x: f64) -> f64 {
    const FACTORS: [f64; 5] = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let t = 1.0 / (1.0 + 0.231_641_9 * x);
    let sum = FACTORS.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ratios as a machine gives them: around `centre`, each up to 10 % off, one of eight up to 60 % above.
    fn measured(count: usize, centre: f64, dice: &mut Rng) -> Vec<f64> {
        let one = |dice: &mut Rng| {
            // The sum of three is nearly a bell.
            let bell = (0..3).map(|_| dice.f64() - 0.5).sum::<f64>() / 1.5;
            let busy = if dice.u8(..8) == 0 { 0.6 * dice.f64() } else { 0.0 };
            (bell * 0.1, busy)
        };
        (0..count)
            .map(|_| {
                let (bell, busy) = one(dice);
                // Either side of a pair may be the one that met the busy moment.
                let side = if dice.bool() { busy } else { -busy / (1.0 + busy) };
                centre * (1.0 + bell) * (1.0 + side)
            })
            .collect()
    }

    #[test]
    fn values_that_are_all_the_same_leave_no_doubt() {
        assert_eq!(of_median(&[0.9; 8], 1), Some(Interval { middle: 0.9, low: 0.9, high: 0.9 }));
    }

    #[test]
    fn few_values_have_no_interval() {
        assert_eq!(of_median(&[1.0; LEAST - 1], 1), None);
        assert_eq!(of_mean(&[vec![1.0; 9], vec![1.0; LEAST - 1]], 1), None);
        assert_eq!(of_mean(&[], 1), None);
    }

    #[test]
    fn the_interval_of_known_values_is_known() {
        // Of 1 to 101 the exact interval by order statistics is 41 to 61.
        let values: Vec<f64> = (1..=101).map(f64::from).collect();
        let found = of_median(&values, 7).unwrap();
        assert_eq!(found.middle, 51.0);
        assert!((found.low - 41.0).abs() <= 1.0 && (found.high - 61.0).abs() <= 1.0, "{found:?}");
    }

    #[test]
    fn few_values_leave_out_less() {
        // From tables: beyond 1.96 there is a fortieth; t of 14 degrees is 2.145, and 1.035 times that 2.220.
        assert!((normal_beyond(1.959_964) - 0.025).abs() < 1e-6);
        assert!((tail(15) - normal_beyond(2.220)).abs() < 1e-4 && (tail(100_000) - 0.025).abs() < 1e-5);
        assert!(tail(6) < tail(8) && tail(8) < tail(15));
    }

    #[test]
    fn the_same_seed_gives_the_same_interval_and_order_does_not_matter() {
        let mut values = measured(30, 0.8, &mut Rng::with_seed(5));
        let first = of_median(&values, 3);
        values.reverse();
        assert_eq!(of_median(&values, 3), first);
        assert_ne!(of_median(&values, 4), first);
    }

    #[test]
    fn an_interval_holds_the_truth_95_times_of_100() {
        let mut dice = Rng::with_seed(11);
        for count in [7, 8, 15, 16, 40] {
            const TIMES: u32 = 600;
            let held = (0..TIMES)
                .filter(|&seed| {
                    let values = measured(count, 0.93, &mut dice);
                    of_median(&values, u64::from(seed)).is_some_and(|interval| interval.holds(0.93))
                })
                .count();
            let coverage = held as f64 / f64::from(TIMES);
            assert!((0.93..=0.995).contains(&coverage), "{coverage} of {count} values");
        }
    }

    #[test]
    fn more_values_make_it_narrower() {
        let mut dice = Rng::with_seed(13);
        let mut width = |count| of_median(&measured(count, 1.0, &mut dice), 1).unwrap().width();
        assert!(width(400) < width(25) / 2.0);
    }

    #[test]
    fn a_mean_over_rows_is_narrower_than_each_of_them() {
        let mut dice = Rng::with_seed(17);
        let rows: Vec<Vec<f64>> =
            [0.5, 2.0, 1.0, 0.8, 1.25].map(|centre| measured(20, centre, &mut dice)).into();
        let mean = of_mean(&rows, 1).unwrap();
        assert!(mean.holds(1.0), "{mean:?}");
        assert!(rows.iter().all(|row| of_median(row, 1).unwrap().width() > mean.width()), "{mean:?}");
    }
}
