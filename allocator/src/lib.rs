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
#![deny(unsafe_code)]
#![cfg_attr(loom, allow(dead_code, unused_imports))]

#[allow(unsafe_code)]
mod sync;

#[cfg(not(loom))]
#[allow(unsafe_code)]
mod allocator;
#[cfg(not(loom))]
#[allow(unsafe_code)]
mod arena;
#[cfg(not(loom))]
#[allow(unsafe_code)]
#[doc(hidden)]
pub mod c_api;
#[cfg(not(loom))]
mod config;
#[cfg(not(loom))]
#[allow(unsafe_code)]
mod fatal;
#[cfg(all(feature = "override", target_env = "gnu", not(loom)))]
#[allow(unsafe_code)]
mod glibc_names;
#[cfg(not(loom))]
#[allow(unsafe_code)]
mod global;
#[cfg(not(loom))]
#[allow(unsafe_code)]
mod heap;
#[cfg(not(loom))]
#[allow(unsafe_code)]
mod large;
#[cfg(not(loom))]
#[allow(unsafe_code)]
mod os;
#[cfg(all(feature = "override", not(loom)))]
#[allow(unsafe_code)]
mod overrides;
#[cfg(not(loom))]
#[allow(unsafe_code)]
mod process;
#[cfg(not(loom))]
mod row;
#[cfg(not(loom))]
mod size_class;
#[cfg(not(loom))]
#[allow(unsafe_code)]
mod slab;
#[cfg(not(loom))]
mod stats;
#[cfg(not(loom))]
mod units;

#[cfg(not(loom))]
pub use arena::BreakMode;
#[cfg(not(loom))]
pub use global::BrkMap;
#[cfg(not(loom))]
pub use stats::Stats;
#[cfg(not(loom))]
#[doc(hidden)]
pub use {heap::EMPTY as NO_HEAP_STATIC, os::thread::ThreadWord};

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!(
    "brkmap is for Linux on 64-bit little-endian machines: it needs brk, mremap and 48 bits of addresses"
);
