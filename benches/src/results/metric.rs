//! The quantities a cell is compared by: for all of them less is better.

use super::{Cell, Row, Set};
use crate::statistics::{geometric_mean, median, spread};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    Cpu,
    Wall,
    Peak,
    Idle,
    Faults,
    Calls,
    Instructions,
}

/// A geometric mean over rows, and over how many of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    pub ratio: f64,
    pub rows: usize,
}

impl Metric {
    pub const ALL: [Metric; 7] = [
        Metric::Cpu,
        Metric::Wall,
        Metric::Peak,
        Metric::Idle,
        Metric::Faults,
        Metric::Calls,
        Metric::Instructions,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Metric::Cpu => "CPU",
            Metric::Wall => "wall",
            Metric::Peak => "peak RSS",
            Metric::Idle => "idle RSS",
            Metric::Faults => "minor faults",
            Metric::Calls => "memory calls",
            Metric::Instructions => "instructions",
        }
    }

    pub fn about(self) -> &'static str {
        match self {
            Metric::Cpu => "user and system time of the whole process",
            Metric::Wall => "time from the start of the process to its end",
            Metric::Peak => "the most that was resident at once",
            Metric::Idle => "resident one second after everything was freed",
            Metric::Faults => "page faults that needed no disk",
            Metric::Calls => "brk, mmap, munmap, mremap, madvise and mprotect",
            Metric::Instructions => "counted by callgrind over the whole process",
        }
    }

    /// What was measured of it in a cell, once for each run.
    fn values(self, cell: &Cell) -> Vec<f64> {
        let of_samples = |value: fn(&super::Sample) -> f64| cell.samples.iter().map(value).collect();
        let once = |value: Option<u64>| value.map(|value| value as f64).into_iter().collect();
        match self {
            Metric::Cpu => of_samples(|sample| sample.user_ms + sample.system_ms),
            Metric::Wall => of_samples(|sample| sample.wall_ms),
            Metric::Peak => of_samples(|sample| sample.peak_kib as f64),
            Metric::Faults => of_samples(|sample| sample.minor_faults as f64),
            Metric::Idle => once(cell.idle_kib),
            Metric::Calls => once(cell.calls.as_ref().map(|calls| calls.values().sum())),
            Metric::Instructions => once(cell.instructions),
        }
    }

    pub fn median(self, row: &Row, allocator: &str) -> Option<f64> {
        let cell = row.cells.get(allocator).filter(|cell| cell.failure.is_none())?;
        (row.failure.is_none()).then(|| median(&self.values(cell)))?
    }

    pub fn spread(self, row: &Row, allocator: &str) -> Option<f64> {
        spread(&self.values(row.cells.get(allocator)?))
    }

    /// The median as a part of the reference's. Less than one of anything counts as one: an idle
    /// process without a fault is not infinitely better than one with a single fault.
    pub fn ratio(self, row: &Row, allocator: &str, reference: &str) -> Option<f64> {
        Some(self.median(row, allocator)?.max(1.0) / self.median(row, reference)?.max(1.0))
    }

    /// The allocator with the least, among those `counts` lets in.
    pub fn best<'a>(self, set: &'a Set, row: &Row, counts: impl Fn(&str) -> bool) -> Option<&'a str> {
        let names = set.allocators.iter().map(|allocator| allocator.name.as_str());
        let measured =
            names.filter(|name| counts(name)).filter_map(|name| Some((self.median(row, name)?, name)));
        measured.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
    }

    /// Over the rows that both finished.
    pub fn mean(self, set: &Set, allocator: &str, reference: &str) -> Option<Mean> {
        self.mean_of(set, |row| self.ratio(row, allocator, reference))
    }

    /// To the best of each row, so never below one.
    pub fn mean_to_best(self, set: &Set, allocator: &str) -> Option<Mean> {
        self.mean_of(set, |row| self.ratio(row, allocator, self.best(set, row, |_| true)?))
    }

    /// The best of all others than brkmap in each row, taken together: the allocator that nobody has.
    pub fn mean_of_best_peers(self, set: &Set, reference: &str) -> Option<Mean> {
        self.mean_of(set, |row| self.ratio(row, self.best(set, row, is_peer)?, reference))
    }

    fn mean_of(self, set: &Set, ratio: impl Fn(&Row) -> Option<f64>) -> Option<Mean> {
        let ratios: Vec<f64> = set.rows.iter().filter_map(ratio).collect();
        Some(Mean { ratio: geometric_mean(&ratios)?, rows: ratios.len() })
    }

    pub fn shown(self, value: f64) -> String {
        match self {
            Metric::Cpu | Metric::Wall => format!("{} ms", significant(value)),
            Metric::Peak | Metric::Idle => format!("{} MiB", significant(value / 1024.0)),
            Metric::Faults | Metric::Calls => format!("{value:.0}"),
            Metric::Instructions => format!("{} M", significant(value / 1e6)),
        }
    }
}

pub fn is_peer(name: &str) -> bool {
    !name.starts_with("brkmap")
}

/// Three digits.
fn significant(value: f64) -> String {
    let decimals = if value >= 100.0 { 0 } else { 1 + usize::from(value < 10.0) };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{cell, row};
    use crate::results::{Allocator, Kind};

    fn set() -> Set {
        let allocators = ["brkmap", "mimalloc", "jemalloc"]
            .map(|name| Allocator { name: name.into(), ..Allocator::default() });
        let rows = vec![
            row(
                "one",
                &[("brkmap", cell(10.0, 1)), ("mimalloc", cell(20.0, 1)), ("jemalloc", cell(40.0, 1))],
            ),
            row(
                "two",
                &[("brkmap", cell(80.0, 1)), ("mimalloc", cell(40.0, 1)), ("jemalloc", cell(20.0, 1))],
            ),
        ];
        Set {
            kind: Kind::Rust,
            reference: Some("mimalloc".into()),
            allocators: allocators.into(),
            skipped: vec![],
            rows,
        }
    }

    #[test]
    fn ratios_and_their_means_are_to_the_reference() {
        let set = set();
        assert_eq!(Metric::Cpu.ratio(&set.rows[0], "brkmap", "mimalloc"), Some(0.5));
        let mean = Metric::Cpu.mean(&set, "brkmap", "mimalloc").unwrap();
        assert!((mean.ratio - 1.0).abs() < 1e-12 && mean.rows == 2);
    }

    #[test]
    fn the_best_peer_is_never_brkmap() {
        let set = set();
        assert_eq!(Metric::Cpu.best(&set, &set.rows[0], |_| true), Some("brkmap"));
        assert_eq!(Metric::Cpu.best(&set, &set.rows[0], is_peer), Some("mimalloc"));
        let peers = Metric::Cpu.mean_of_best_peers(&set, "mimalloc").unwrap();
        assert!((peers.ratio - 0.5f64.sqrt()).abs() < 1e-12);
        let to_best = Metric::Cpu.mean_to_best(&set, "brkmap").unwrap();
        assert!((to_best.ratio - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_failed_row_and_a_failed_cell_count_nowhere() {
        let mut set = set();
        set.rows[0].failure = Some("the checksums differ".into());
        assert_eq!(Metric::Cpu.mean(&set, "brkmap", "mimalloc").unwrap().rows, 1);
        set.rows[1].cells.get_mut("brkmap").unwrap().failure = Some("killed by signal 11".into());
        assert_eq!(Metric::Cpu.mean(&set, "brkmap", "mimalloc"), None);
        assert_eq!(Metric::Cpu.mean(&set, "jemalloc", "mimalloc").unwrap().ratio, 0.5);
    }

    #[test]
    fn what_was_not_measured_has_no_ratio() {
        let set = set();
        assert_eq!(Metric::Idle.mean(&set, "brkmap", "mimalloc"), None);
        assert_eq!(Metric::Cpu.ratio(&set.rows[0], "brkmap", "absent"), None);
    }

    #[test]
    fn figures_show_three_digits() {
        assert_eq!(Metric::Cpu.shown(412.34), "412 ms");
        assert_eq!(Metric::Cpu.shown(41.234), "41.2 ms");
        assert_eq!(Metric::Peak.shown(2048.0), "2.00 MiB");
    }
}
