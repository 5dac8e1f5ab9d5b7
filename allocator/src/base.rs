//! Words for all modules: units, size classes, constants, keys and values, what a request got, text,
//! ends with a message, checked arrays.

pub mod allocated;
pub mod builder;
pub mod checked;
pub mod complaint;
pub mod config;
pub mod entries;
pub mod fatal;
pub mod keys;
pub mod nearest;
pub mod preset;
pub mod print;
pub mod settings;
pub mod size_class;
pub mod sources;
pub mod text;
pub mod units;
pub mod value;
pub mod why;
