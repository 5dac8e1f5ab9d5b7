//! The C front: malloc's family with glibc's semantics.
//!
//! Generic over the front (its thread's word, and what the process's names lead to); `export_c_api!` makes
//! the symbols, for the preload library and for the `override` feature alike. NULL means errno ENOMEM, or
//! EINVAL where an alignment is none (but `posix_memalign` returns its error and leaves errno alone); free
//! and what it calls leave errno as it was.

mod answer;
mod brk;
mod export;
pub mod expressly;
mod family;
mod hand_on;
mod info;
mod mallinfo;
mod names;
mod report;
mod sized;

pub use brk::{brk, sbrk};
pub use family::{
    aligned_alloc, calloc, cfree, free, malloc, malloc_trim, malloc_usable_size, mallopt, memalign,
    posix_memalign, pvalloc, realloc, reallocarray, valloc,
};
pub use info::{Stream, malloc_info};
pub use mallinfo::{MallInfo, MallInfo2};
pub use names::{Front, NAMES, Name};
pub use report::{mallinfo, mallinfo2, malloc_stats};
pub use sized::{free_aligned_sized, free_sized};
