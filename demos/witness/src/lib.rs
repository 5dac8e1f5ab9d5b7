//! What a process reads of itself, and what it says to its tracer.
//!
//! Nothing here allocates, so that the reading does not move what it reads; the text of `maps` alone takes memory.

pub mod faults;
pub mod maps;
pub mod mark;
pub mod memory;
mod page;
mod program_break;

pub use faults::Faults;
pub use page::page_size;
pub use program_break::program_break;
