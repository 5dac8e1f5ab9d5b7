//! The workloads with brkmap.

#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

fn main() -> std::process::ExitCode {
    brkmap_benches::load::main()
}
