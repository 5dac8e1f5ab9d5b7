//! The workloads with brkmap as the malloc of the whole program.

#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

fn main() -> std::process::ExitCode {
    brkmap_benches::load::main()
}
