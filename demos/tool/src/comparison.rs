//! Several allocators' answers to the same requests.

use brkmap_base::Bytes;
use brkmap_probe::marker::Phase;

use crate::contender::Kind;
use crate::observe::{Cell, Observation};

/// One allocator's answers, one pair of observations for each size.
pub struct Row {
    pub name: String,
    pub kind: Kind,
    pub observed: Vec<Observed>,
}

/// What one allocator did at one size.
pub struct Observed {
    pub requests: Observation,
    pub growth: Observation,
}

/// The phases that are shown: what the table calls them, and what the JSON document does.
pub const PHASES: [(Phase, &str, &str); 6] = [
    (Phase::First, "first", "first"),
    (Phase::Second, "second", "second"),
    (Phase::FreeBoth, "free both", "free_both"),
    (Phase::Again, "again", "again"),
    (Phase::Double, "grow ×2", "grow_2x"),
    (Phase::Quadruple, "grow ×4", "grow_4x"),
];

impl Observed {
    pub fn cell(&self, phase: Phase) -> Option<&Cell> {
        self.requests.cell(phase).or_else(|| self.growth.cell(phase))
    }
}

pub struct Comparison {
    pub sizes: Vec<Bytes>,
    pub rows: Vec<Row>,
    /// libc's allocator was not set from outside.
    pub default_settings: bool,
    /// What the environment and the file set of brkmap: a sentence each.
    pub set: Vec<String>,
}
