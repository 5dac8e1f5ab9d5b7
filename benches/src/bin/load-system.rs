//! The workloads with libc's malloc, or the one that is preloaded over it.

#[global_allocator]
static GLOBAL: std::alloc::System = std::alloc::System;

fn main() -> std::process::ExitCode {
    brkmap_benches::load::main()
}
