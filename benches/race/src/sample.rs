//! One run of one program, as the kernel counts it.

use serde::{Deserialize, Serialize};

use crate::statistics::median;

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub user_ms: f64,
    pub system_ms: f64,
    pub wall_ms: f64,
    pub peak_kib: u64,
    pub minor_faults: u64,
    /// Those that waited for a disk.
    #[serde(default)]
    pub major_faults: u64,
    /// Huge pages that were faulted in on the whole machine while it ran: the kernel counts them for no process.
    #[serde(default)]
    pub huge_faults: u64,
}

/// What a run is compared by: less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    Cpu,
    Wall,
    PeakRss,
    Faults,
}

impl Quantity {
    pub const ALL: [Quantity; 4] = [Quantity::Cpu, Quantity::Wall, Quantity::PeakRss, Quantity::Faults];

    /// In milliseconds, KiB, or a count.
    pub fn of(self, sample: &Sample) -> f64 {
        match self {
            Quantity::Cpu => sample.user_ms + sample.system_ms,
            Quantity::Wall => sample.wall_ms,
            Quantity::PeakRss => sample.peak_kib as f64,
            Quantity::Faults => (sample.minor_faults + sample.major_faults) as f64,
        }
    }

    pub fn median(self, samples: &[Sample]) -> Option<f64> {
        median(&samples.iter().map(|sample| self.of(sample)).collect::<Vec<_>>())
    }

    /// Of one lane to another, round by round; less than one of anything counts as one. Rounds that one of them did
    /// not finish have no ratio.
    pub fn ratios(self, samples: &[Sample], to: &[Sample]) -> Vec<f64> {
        let least = |sample: &Sample| match self {
            Quantity::Cpu | Quantity::Wall => self.of(sample).max(1e-3),
            Quantity::PeakRss | Quantity::Faults => self.of(sample).max(1.0),
        };
        samples.iter().zip(to).map(|(one, other)| least(one) / least(other)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_same_round() {
        let sample = |user_ms, minor_faults| Sample { user_ms, minor_faults, ..Sample::default() };
        let (one, other) =
            ([sample(10.0, 0), sample(30.0, 5)], [sample(20.0, 0), sample(20.0, 10), sample(1.0, 1)]);
        assert_eq!(Quantity::Cpu.ratios(&one, &other), [0.5, 1.5]);
        assert_eq!(Quantity::Faults.ratios(&one, &other), [1.0, 0.5]);
        assert_eq!(Quantity::Cpu.median(&one), Some(20.0));
    }
}
