//! What an operation costs in a heap of a wide address range.

use serde::{Deserialize, Serialize};

/// Nanoseconds of one visit to a random block.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    /// That only touches it.
    pub touch: f64,
    /// That replaces it.
    pub replace: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wide {
    /// Of those with one touched page.
    pub sparse_blocks: u64,
    /// From the first sparse block to the end of the last one.
    pub range_kib: u64,
    pub small: Visit,
    pub sparse: Visit,
    /// Page faults for each replacement of a sparse block.
    pub sparse_faults: f64,
    pub peak_kib: u64,
}

/// What a missing figure of this kind is skipped by.
pub fn skipped_name(allocator: &str) -> String {
    format!("wide with {allocator}")
}
