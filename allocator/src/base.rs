//! Words for all modules: units, size classes, constants, what a request got, ends with a message, checked
//! arrays.

pub mod allocated;
pub mod checked;
pub mod config;
pub mod fatal;
pub mod random;
pub mod size_class;
pub mod units;
