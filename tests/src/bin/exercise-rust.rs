//! The scenarios on the Rust front.

// Until the allocator is on this branch, the system's stands in.
#[cfg(feature = "rust-front")]
#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();
#[cfg(not(feature = "rust-front"))]
static GLOBAL: std::alloc::System = std::alloc::System;

fn main() {
    brkmap_tests::exercise::main(&GLOBAL);
}
