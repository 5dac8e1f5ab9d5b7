//! What the demo programs share.

pub mod baton;
pub mod child;
pub mod futex;
pub mod input;
pub mod interrupt;
pub mod mapping;
pub mod program;
pub mod proof;
pub mod report;
pub mod scratch;
pub mod sigbus;
