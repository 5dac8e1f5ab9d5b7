//! A memory allocator for Linux: small blocks from the process's break (**brk**), large ones from mappings of
//! their own (m**map**).
//!
//! ```
//! #[global_allocator]
//! static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();
//!
//! fn main() {
//!     let words: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
//!     assert!(brkmap::Stats::read().allocated > words.len() * size_of::<String>());
//! }
//! ```
//!
//! # Ways to have it
//!
//! | you have | take |
//! | --- | --- |
//! | a Rust program, or a library that C loads (cdylib) | [BrkMap] as `#[global_allocator]`, as above |
//! | a Rust program with C or C++ in it | the same with the feature `override` |
//! | collections beside the global allocator | [BrkMap] or [Heap] with the feature `allocator-api2` |
//! | a part of a program that needs a limit, or ends at once | [Heap] |
//! | a program that is not built anew | the crate `brkmap-preload`, by LD_PRELOAD |
//!
//! # Features
//!
//! | feature | |
//! | --- | --- |
//! | `override` | the program's C side is served too, by `malloc` and its family. Never for a library |
//! | `allocator-api2` | the trait `Allocator` of the crate allocator-api2, as hashbrown and bumpalo take it |
//! | `allocator-api` | the same trait of the standard library, on nightly |
//! | `profile` | a heap profile, which costs nothing while none is taken |
//!
//! # Configuration
//!
//! In code by [Config] and [BrkMap::with]; for any program by the same keys in `BRKMAP_CONF` and
//! `/etc/brkmap.conf`, which `BRKMAP_CONF=help` lists. glibc's names are understood. Programs with raised
//! rights read none of it.
//!
//! # Figures
//!
//! [Stats] has those of the process, [Residency] explains its resident memory, [HeapFigures] are those of a
//! heap. Freed memory goes back to the kernel by
//! itself, to 7 MiB or an eighth of what is live; [BrkMap::trim] gives back the rest.
//!
//! # Limits
//!
//! - A request fails only where the kernel has no memory or addresses, or a [Heap] has reached its limit.
//! - A fork's child of a threaded program may use it. A signal handler may not, as with any malloc.
//! - A block that is written to beyond its end is not seen.
//!
//! # Platforms
//!
//! Linux on 64-bit machines: x86-64, aarch64, riscv64 and s390x, with glibc or musl; it compiles for
//! loongarch64 and powerpc64le. Elsewhere it does not compile, and says so. A program may be `no_std`: the
//! crate itself needs std, for its thread-local word.
//
// Each module knows only those below it. The picture of the layers stands in ARCHITECTURE.md, and a test
// compares it with what the code does.
#![deny(unsafe_code, missing_docs)]
#![cfg_attr(all(feature = "allocator-api", not(brkmap_loom)), feature(allocator_api))]
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
mod medium;
#[cfg(not(brkmap_loom))]
mod os;
#[cfg(not(brkmap_loom))]
mod process;
#[cfg(not(brkmap_loom))]
mod samples;
#[cfg(not(brkmap_loom))]
mod slab;
#[cfg(not(brkmap_loom))]
mod zone;

#[cfg(not(brkmap_loom))]
pub use arena::BreakMode;
#[cfg(not(brkmap_loom))]
pub use base::builder::{Config, HugePages, ProfileAt};
#[cfg(not(brkmap_loom))]
#[doc(hidden)]
pub use front::c as c_api;
#[cfg(not(brkmap_loom))]
pub use front::heap::{Heap, HeapFigures, shared::SharedHeap};
#[cfg(all(feature = "profile", not(brkmap_loom)))]
pub use front::profile;
#[cfg(not(brkmap_loom))]
pub use front::rust::{BrkMap, Configured, trim};
#[cfg(not(brkmap_loom))]
pub use front::stats::{Call, ClassStats, Classes, HeapStats, Reason, Residency, Stats, Tally};
/// The table of keys, for the tool and the tests.
#[cfg(not(brkmap_loom))]
#[doc(hidden)]
pub mod keys {
    pub use crate::base::keys::{COUNT, Effect, HUGE_PAGES, Key, Kind, PRESETS, Row};
    pub use crate::base::preset::values;
    pub use crate::base::settings::{By, Origin, Settings};
    pub use crate::base::sources::{self, Place};
    pub use crate::base::text::Text;
    pub use crate::base::value::{Bound, Read, describe, read, write};
}
#[cfg(not(brkmap_loom))]
#[doc(hidden)]
pub use {heap::EMPTY as NO_HEAP_STATIC, os::thread::ThreadWord};

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("brkmap is for Linux on 64-bit machines: it needs brk, mremap and 48 bits of addresses");
