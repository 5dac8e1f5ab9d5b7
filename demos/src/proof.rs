//! What the kernel says about our memory, one witness a file.

pub mod faults;
pub mod frames;
pub mod maps;
pub mod residency;
pub mod syscalls;
