//! What an allocator costs a program, counted and not timed; and what each of it costs on this machine.

use std::collections::BTreeMap;

use brkmap_race::look::REFUSED;
use serde::{Deserialize, Serialize};

/// One run, the same each time but for what threads do to each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Percent of a full run.
    pub scale: u64,
    /// Of the process and those it starts.
    pub instructions: u64,
    /// The allocator's own of these, without clearing and copying.
    pub own: u64,
    /// The same by function, the most first.
    pub functions: Vec<(String, u64)>,
    pub clearing: Moved,
    pub copying: Moved,
    /// Page faults that gave a page of the smallest size.
    pub small_faults: u64,
    pub huge_faults: u64,
    /// Page faults that copied a page of a file.
    pub copied_faults: u64,
    /// The memory calls by name; those that were refused apart.
    pub calls: BTreeMap<String, u64>,
}

/// What the allocator gave to memset, or to memcpy and memmove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    pub calls: u64,
    pub instructions: u64,
    /// Estimated from the instructions.
    pub bytes: u64,
}

/// Nanoseconds, as measured before the account was taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    pub instruction: f64,
    pub small_fault: f64,
    /// Not where the kernel gives no huge pages.
    pub huge_fault: Option<f64>,
    pub copied_fault: f64,
    pub calls: BTreeMap<String, f64>,
    pub cleared_byte: f64,
    pub copied_byte: f64,
}

/// The modelled CPU of a run, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Modelled {
    pub program: f64,
    pub own: f64,
    pub bytes: f64,
    pub faults: f64,
    pub calls: f64,
}

impl Modelled {
    pub fn all(&self) -> f64 {
        self.program + self.allocator()
    }

    /// Without the program's own instructions. The loader's faults and calls are in it, with every allocator.
    pub fn allocator(&self) -> f64 {
        self.own + self.bytes + self.faults + self.calls
    }
}

impl Account {
    /// Each count times its cost.
    pub fn modelled(&self, costs: &Calibration) -> Modelled {
        let milliseconds = |count: u64, cost: f64| count as f64 * cost / 1e6;
        let moving = self.clearing.instructions + self.copying.instructions;
        let program = self.instructions.saturating_sub(self.own + moving);
        let calls = self.calls.iter().map(|(name, &count)| {
            let name = if name.ends_with(REFUSED) { "refused" } else { name };
            milliseconds(count, costs.calls.get(name).copied().unwrap_or(0.0))
        });
        Modelled {
            program: milliseconds(program, costs.instruction),
            own: milliseconds(self.own, costs.instruction),
            bytes: milliseconds(self.clearing.bytes, costs.cleared_byte)
                + milliseconds(self.copying.bytes, costs.copied_byte),
            faults: milliseconds(self.small_faults, costs.small_fault)
                + milliseconds(self.huge_faults, costs.huge_fault.unwrap_or(0.0))
                + milliseconds(self.copied_faults, costs.copied_fault),
            calls: calls.sum(),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn costs() -> Calibration {
        Calibration {
            instruction: 0.25,
            small_fault: 500.0,
            huge_fault: Some(100_000.0),
            copied_fault: 800.0,
            calls: [("mmap".to_owned(), 400.0), ("munmap".to_owned(), 1000.0)].into(),
            cleared_byte: 0.01,
            copied_byte: 0.02,
        }
    }

    pub fn account(own: u64) -> Account {
        Account {
            scale: 5,
            instructions: 10_000_000 + own,
            own,
            functions: vec![("malloc".into(), own)],
            clearing: Moved { calls: 2, instructions: 1_000_000, bytes: 10_000_000 },
            copying: Moved { calls: 1, instructions: 1_000_000, bytes: 5_000_000 },
            small_faults: 1000,
            huge_faults: 3,
            copied_faults: 100,
            calls: [("mmap".to_owned(), 10), ("munmap".to_owned(), 5)].into(),
        }
    }

    #[test]
    fn each_count_has_its_cost() {
        let modelled = account(4_000_000).modelled(&costs());
        let near = |one: f64, other: f64| assert!((one - other).abs() < 1e-9, "{one} {other}");
        near(modelled.program, 2.0);
        near(modelled.own, 1.0);
        near(modelled.bytes, 0.2);
        near(modelled.faults, 0.5 + 0.3 + 0.08);
        near(modelled.calls, 0.009);
        near(modelled.all() - modelled.allocator(), 2.0);
    }

    #[test]
    fn a_refused_call_has_a_cost_of_its_own() {
        let mut costs = costs();
        costs.calls.insert("refused".into(), 100.0);
        let calls = [("mmap".to_owned(), 10), ("mmap refused".to_owned(), 1000)].into();
        let modelled = Account { calls, ..account(0) }.modelled(&costs);
        assert!((modelled.calls - (0.004 + 0.1)).abs() < 1e-9);
    }

    #[test]
    fn without_huge_pages_they_cost_nothing() {
        let without = Calibration { huge_fault: None, ..costs() };
        assert!((account(0).modelled(&without).faults - 0.58).abs() < 1e-9);
    }
}
