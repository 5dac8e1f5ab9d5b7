//! Benchmarks: programs that allocate, and the matrix that compares allocators with them.
//!
//! ```text
//!   bin/matrix ── matrix ─┬─ report, brkmap-race          one process that measures and writes
//!                         │
//!                         ├─ bin/load ── load ── workloads           a process each, by allocator
//!                         └─ programs/                    real programs, by preloaded library
//! ```

pub mod load;
pub mod workloads;

#[cfg(feature = "matrix")]
pub mod matrix;
#[cfg(feature = "matrix")]
pub mod report;
#[cfg(feature = "matrix")]
pub mod results;
#[cfg(feature = "matrix")]
pub use brkmap_race::statistics;
