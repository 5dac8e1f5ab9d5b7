//! What a run of the matrix found: the document that `results.json` holds and the reports are made from.

use std::collections::BTreeMap;

pub use brkmap_race::sample::Sample;
use serde::{Deserialize, Serialize};

pub mod account;
pub mod merge;
pub mod metric;
pub mod paired;
pub mod scaling;
pub mod wide;

use account::Account;
use paired::Paired;
use scaling::Scaling;
use wide::Wide;

pub const SCHEMA: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    pub schema: u32,
    pub date: String,
    pub command: String,
    pub machine: Machine,
    pub repetitions: usize,
    pub threads: usize,
    /// Percent of a full run that each workload did.
    pub scale: u64,
    pub seconds: f64,
    /// Of how many runs these are put together.
    pub pieces: usize,
    /// What the reader has to know before the figures.
    pub remarks: Vec<String>,
    pub sets: Vec<Set>,
    /// Two allocators beside each other, where that was asked for.
    #[serde(default)]
    pub pairs: Vec<Paired>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub processors: usize,
    pub memory_mib: u64,
    pub kernel: String,
    pub libc: String,
    pub huge_pages: String,
    pub rustc: String,
    pub commit: String,
}

/// Allocators that can be compared with each other: those inside Rust programs, those preloaded, or those inside
/// static programs on musl.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Set {
    pub kind: Kind,
    /// The allocator that ratios are to: mimalloc, where it is there.
    pub reference: Option<String>,
    pub allocators: Vec<Allocator>,
    pub skipped: Vec<Skipped>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Rust,
    Preload,
    Musl,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Allocator {
    pub name: String,
    pub version: String,
    /// RSS of the program that only says hello.
    pub hello_kib: Option<u64>,
    /// Instructions of one Box of 32 bytes, made, written and dropped, with its loop.
    pub box_round: Option<f64>,
    pub growth: Vec<Growth>,
    #[serde(default)]
    pub scaling: Vec<Scaling>,
    /// A narrow heap and a wide one.
    #[serde(default)]
    pub wide: Vec<Wide>,
}

/// What one operation cost among `live` blocks, in nanoseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Growth {
    pub live: u64,
    pub fill: f64,
    /// A visit that only touches the block.
    pub touch: f64,
    /// The same visit, replacing the block.
    pub replace: f64,
    pub free: f64,
    pub peak_kib: u64,
}

/// A peer or a program that is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub name: String,
    pub reason: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    pub about: String,
    /// By the allocator's name.
    pub cells: BTreeMap<String, Cell>,
    /// Why no figure of this row counts.
    pub failure: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cell {
    pub checksum: Option<String>,
    pub samples: Vec<Sample>,
    /// RSS one second after the end, when everything is freed.
    pub idle_kib: Option<u64>,
    /// The memory calls by name.
    pub calls: Option<BTreeMap<String, u64>>,
    pub instructions: Option<u64>,
    /// Beside the clock of a pair.
    #[serde(default)]
    pub account: Option<Account>,
    /// Why this allocator has no figures here.
    pub failure: Option<String>,
}

/// The allocator that ratios are to, among these: mimalloc, best in the version that has the plain name; without it
/// musl's own.
pub fn reference<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    let exact = names.clone().find(|name| *name == "mimalloc");
    let other = || names.clone().find(|name| name.starts_with("mimalloc"));
    let musl = || names.clone().find(|name| *name == "musl");
    exact.or_else(other).or_else(musl).map(str::to_owned)
}

impl Row {
    /// Holds the checksums against each other; what most say is taken for right.
    pub fn judge(&mut self) {
        let mut votes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, cell) in &self.cells {
            if let (Some(checksum), None) = (&cell.checksum, &cell.failure) {
                votes.entry(checksum).or_default().push(name);
            }
        }
        if votes.len() > 1 {
            let said = votes.iter().map(|(checksum, names)| format!("{}: {checksum}", names.join(", ")));
            self.failure = Some(format!("the checksums differ: {}", said.collect::<Vec<_>>().join("; ")));
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn cell(cpu: f64, peak: u64) -> Cell {
        let sample =
            Sample { user_ms: cpu, wall_ms: cpu, peak_kib: peak, minor_faults: 10, ..Sample::default() };
        Cell { checksum: Some("7".into()), samples: vec![sample], ..Cell::default() }
    }

    pub fn row(name: &str, cells: &[(&str, Cell)]) -> Row {
        let cells = cells.iter().map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect();
        Row { name: name.into(), about: "a test".into(), cells, failure: None }
    }

    #[test]
    fn the_reference_is_mimalloc_in_the_version_that_has_the_plain_name() {
        let of = |names: &[&str]| reference(names.iter().copied());
        assert_eq!(of(&["brkmap", "mimalloc-2.0", "mimalloc"]).as_deref(), Some("mimalloc"));
        assert_eq!(of(&["brkmap", "mimalloc-2.0"]).as_deref(), Some("mimalloc-2.0"));
        assert_eq!(of(&["brkmap", "musl"]).as_deref(), Some("musl"));
        assert_eq!(of(&["brkmap"]), None);
    }

    #[test]
    fn equal_checksums_are_fine_and_a_crash_is_not_a_vote() {
        let crashed = Cell { failure: Some("killed by signal 11".into()), ..cell(1.0, 1) };
        let mut row = row("pairs", &[("a", cell(1.0, 1)), ("b", cell(2.0, 1)), ("c", crashed)]);
        row.judge();
        assert_eq!(row.failure, None);
    }

    #[test]
    fn another_checksum_fails_the_row_and_is_named() {
        let wrong = Cell { checksum: Some("8".into()), ..cell(1.0, 1) };
        let mut row = row("pairs", &[("a", cell(1.0, 1)), ("b", wrong)]);
        row.judge();
        assert_eq!(row.failure.as_deref(), Some("the checksums differ: a: 7; b: 8"));
    }
}
