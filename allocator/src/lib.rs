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
mod base;
#[cfg(not(loom))]
mod front;
#[cfg(not(loom))]
#[allow(unsafe_code)]
mod heap;
#[cfg(not(loom))]
#[allow(unsafe_code)]
mod large;
#[cfg(not(loom))]
#[allow(unsafe_code)]
mod os;
#[cfg(not(loom))]
#[allow(unsafe_code)]
mod process;
#[cfg(not(loom))]
#[allow(unsafe_code)]
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
