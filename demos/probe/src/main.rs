//! The probe whose global allocator is brkmap: what `brkmap compare` runs for its Rust rows.
//!
//! The requests go through Rust's own entry points (`std::alloc`), as those of a `Box` or a `Vec`
//! do. It has a C `main` for the reason the tool has one: nothing may allocate before it.

#![no_main]

use std::ffi::{c_char, c_int};

use brkmap_probe::{Arguments, scenario};

#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, arguments: *const *const c_char) -> c_int {
    // SAFETY: the C runtime passes `count` C strings, and they live as long as the process.
    let arguments = unsafe { Arguments::new(count, arguments) };
    scenario::of_rust(arguments, 1)
}
