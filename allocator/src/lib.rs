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
#![cfg_attr(loom, allow(dead_code, unused_imports))]

mod sync;

#[cfg(not(loom))]
mod allocator;
#[cfg(not(loom))]
mod arena;
#[cfg(not(loom))]
mod base;
#[cfg(not(loom))]
mod front;
#[cfg(not(loom))]
mod heap;
#[cfg(not(loom))]
mod large;
#[cfg(not(loom))]
mod os;
#[cfg(not(loom))]
mod process;
#[cfg(not(loom))]
mod slab;

#[cfg(not(loom))]
pub use arena::BreakMode;
#[cfg(not(loom))]
#[doc(hidden)]
pub use front::c as c_api;
#[cfg(not(loom))]
pub use front::rust::BrkMap;
#[cfg(not(loom))]
pub use front::stats::Stats;
#[cfg(not(loom))]
#[doc(hidden)]
pub use {heap::EMPTY as NO_HEAP_STATIC, os::thread::ThreadWord};

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!(
    "brkmap is for Linux on 64-bit little-endian machines: it needs brk, mremap and 48 bits of addresses"
);
