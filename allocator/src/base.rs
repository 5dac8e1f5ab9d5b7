//! Words for all modules: units, size classes, constants, the keys and their values, what a request got,
//! text, ends with a message, checked arrays, random numbers.

pub mod allocated;
pub mod builder;
pub mod checked;
pub mod config;
pub mod entries;
pub mod fatal;
pub mod keys;
pub mod nearest;
pub mod preset;
pub mod random;
pub mod settings;
pub mod size_class;
pub mod text;
pub mod units;
pub mod value;
