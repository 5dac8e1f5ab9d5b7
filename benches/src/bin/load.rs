//! The workloads with one allocator.

#[path = "../global.rs"]
mod global;

fn main() -> std::process::ExitCode {
    brkmap_benches::load::main(global::NAME)
}
