//! What the kernel says about our memory, one witness a file.

pub mod faults;
pub mod frames;
pub mod maps;
pub mod program_break;
pub mod residency;
pub mod syscalls;
