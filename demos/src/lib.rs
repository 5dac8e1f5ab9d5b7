//! What the demos share.

pub mod bar;
pub mod input;
pub mod interrupt;
pub mod mapping;
pub mod proof;
pub mod report;
pub mod sigbus;
pub mod trouble;
