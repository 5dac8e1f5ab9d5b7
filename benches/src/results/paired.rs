//! Two allocators beside each other, run by run.

use brkmap_race::course::Ended;
use brkmap_race::interval::{self, Interval};
use brkmap_race::sample::Quantity;
use serde::{Deserialize, Serialize};

use super::account::Calibration;
use super::{Kind, Set};
use crate::statistics::geometric_mean;

/// Ratios are of `one` to `other`. Their samples and accounts are in the cells of the set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Paired {
    pub kind: Kind,
    pub one: String,
    pub other: String,
    pub rows: Vec<PairedRow>,
    /// What a count costs; none where nothing was counted.
    pub calibration: Option<Calibration>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PairedRow {
    pub name: String,
    pub rounds: usize,
    pub ended: Ended,
    pub cpu: Option<Interval>,
    pub wall: Option<Interval>,
    pub peak: Option<Interval>,
    pub faults: Option<Interval>,
}

/// The dice of all intervals: the same samples give the same intervals.
pub const SEED: u64 = 1;

impl Paired {
    /// Of the geometric mean of CPU over the rows. Rows with too few rounds do not count.
    pub fn mean(&self, set: &Set) -> Option<Interval> {
        let rows = self.rows.iter().filter(|row| row.cpu.is_some());
        let ratios: Option<Vec<_>> = rows.map(|row| self.ratios(set, &row.name)).collect();
        interval::of_mean(&ratios?, SEED)
    }

    fn ratios(&self, set: &Set, row: &str) -> Option<Vec<f64>> {
        let cells = &set.rows.iter().find(|known| known.name == row)?.cells;
        Some(Quantity::Cpu.ratios(&cells.get(&self.one)?.samples, &cells.get(&self.other)?.samples))
    }

    /// Of the modelled CPU of a row: of both, in milliseconds.
    pub fn modelled(&self, set: &Set, row: &str) -> Option<(f64, f64)> {
        let cells = &set.rows.iter().find(|known| known.name == row)?.cells;
        let of = |name: &str| {
            let account = cells.get(name)?.account.as_ref()?;
            Some(account.modelled(self.calibration.as_ref()?).all())
        };
        Some((of(&self.one)?, of(&self.other)?))
    }

    /// The allocator's own instructions of a row: of both.
    pub fn own(&self, set: &Set, row: &str) -> Option<(u64, u64)> {
        let cells = &set.rows.iter().find(|known| known.name == row)?.cells;
        let of = |name: &str| Some(cells.get(name)?.account.as_ref()?.own).filter(|own| *own > 0);
        Some((of(&self.one)?, of(&self.other)?))
    }

    /// The geometric mean of the ratios of own instructions.
    pub fn own_mean(&self, set: &Set) -> Option<f64> {
        let of = |row: &PairedRow| self.own(set, &row.name).map(|(one, other)| one as f64 / other as f64);
        geometric_mean(&self.rows.iter().filter_map(of).collect::<Vec<_>>())
    }

    /// The geometric mean of the modelled ratios.
    pub fn modelled_mean(&self, set: &Set) -> Option<f64> {
        let of = |row: &PairedRow| self.modelled(set, &row.name).map(|(one, other)| one / other);
        geometric_mean(&self.rows.iter().filter_map(of).collect::<Vec<_>>())
    }

    /// Whether the other one is of the same two, and so this one's place is its.
    pub fn is_of(&self, other: &Paired) -> bool {
        (self.kind, &self.one, &self.other) == (other.kind, &other.one, &other.other)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::report::tests::example;
    use crate::results::Results;
    use crate::results::account::tests::{account, costs};

    /// brkmap takes half of mimalloc's time in `pairs`.
    pub fn paired() -> Results {
        let mut results = example();
        let cells = &mut results.sets[0].rows[0].cells;
        for (name, own) in [("brkmap", 1_000_000), ("mimalloc", 3_000_000)] {
            let cell = cells.get_mut(name).unwrap();
            cell.samples = vec![cell.samples[0]; 8];
            cell.account = Some(account(own));
        }
        let interval = Interval { middle: 0.5, low: 0.49, high: 0.52 };
        let row = PairedRow {
            name: "pairs".into(),
            rounds: 8,
            ended: Ended::Narrow,
            cpu: Some(interval),
            wall: Some(interval),
            peak: Some(interval),
            faults: None,
        };
        results.pairs = vec![Paired {
            kind: Kind::Rust,
            one: "brkmap".into(),
            other: "mimalloc".into(),
            rows: vec![row],
            calibration: Some(costs()),
        }];
        results
    }

    #[test]
    fn means_are_over_the_rows_that_have_figures() {
        let mut results = paired();
        let live = PairedRow { name: "live".into(), cpu: None, ..results.pairs[0].rows[0].clone() };
        results.pairs[0].rows.push(live);
        let (paired, set) = (&results.pairs[0], &results.sets[0]);
        assert_eq!(paired.mean(set).map(|mean| mean.middle), Some(0.5));
        let (one, other) = paired.modelled(set, "pairs").unwrap();
        assert!(one < other && (paired.modelled_mean(set).unwrap() - one / other).abs() < 1e-12);
        assert_eq!(paired.modelled(set, "live"), None);
        assert_eq!(paired.own(set, "pairs"), Some((1_000_000, 3_000_000)));
        assert!((paired.own_mean(set).unwrap() - 1.0 / 3.0).abs() < 1e-12);
    }
}
