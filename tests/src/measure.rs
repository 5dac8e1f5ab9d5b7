//! What a program reads about itself, without allocating: the reading must not move what it reads.

pub use brkmap_witness::memory::{address_space, data, mappings_allowed, resident};
pub use brkmap_witness::{page_size, program_break as real_break};

/// Page faults of this process that needed no I/O.
pub fn minor_faults() -> usize {
    brkmap_witness::Faults::now().minor as usize
}
