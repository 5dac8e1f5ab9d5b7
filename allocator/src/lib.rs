//! A memory allocator for Linux: small blocks from the process's break (**brk**), large ones from mappings of
//! their own (m**map**).
//!
//! ```
//! #[global_allocator]
//! static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();
//! # fn main() {}
//! ```
//!
//! Each module knows only those below it. The picture of the layers stands in ARCHITECTURE.md, and a test
//! compares it with what the code does.
#![deny(unsafe_code, missing_docs)]
#![cfg_attr(brkmap_loom, allow(dead_code, unused_imports))]

mod sync;

#[cfg(not(brkmap_loom))]
mod allocator;
#[cfg(not(brkmap_loom))]
mod arena;
#[cfg(not(brkmap_loom))]
mod base;
#[cfg(not(brkmap_loom))]
mod files;
#[cfg(not(brkmap_loom))]
mod front;
#[cfg(not(brkmap_loom))]
mod heap;
#[cfg(not(brkmap_loom))]
mod large;
#[cfg(not(brkmap_loom))]
mod os;
#[cfg(not(brkmap_loom))]
mod process;
#[cfg(not(brkmap_loom))]
mod samples;
#[cfg(not(brkmap_loom))]
mod slab;

#[cfg(not(brkmap_loom))]
pub use arena::BreakMode;
#[cfg(not(brkmap_loom))]
pub use base::builder::{Config, HugePages, ProfileAt};
#[cfg(not(brkmap_loom))]
#[doc(hidden)]
pub use front::c as c_api;
#[cfg(all(feature = "profile", not(brkmap_loom)))]
pub use front::profile;
#[cfg(not(brkmap_loom))]
pub use front::rust::{BrkMap, Configured};
#[cfg(not(brkmap_loom))]
pub use front::stats::Stats;
/// The table of keys, for the tool and the tests.
#[cfg(not(brkmap_loom))]
#[doc(hidden)]
pub mod keys {
    pub use crate::base::entries::{Entry, entries, tunable};
    pub use crate::base::keys::{COUNT, Effect, HUGE_PAGES, Key, Kind, PRESETS, Row};
    pub use crate::base::nearest::nearest;
    pub use crate::base::preset::values;
    pub use crate::base::text::Text;
    pub use crate::base::value::{Bound, Read, describe, read, write};
}
#[cfg(not(brkmap_loom))]
#[doc(hidden)]
pub use {heap::EMPTY as NO_HEAP_STATIC, os::thread::ThreadWord};

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!(
    "brkmap is for Linux on 64-bit little-endian machines: it needs brk, mremap and 48 bits of addresses"
);
