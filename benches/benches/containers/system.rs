//! Containers with libc's malloc, or the one that is preloaded over it.

mod suite;

#[global_allocator]
static GLOBAL: std::alloc::System = std::alloc::System;

fn main() {
    suite::run("system");
}
