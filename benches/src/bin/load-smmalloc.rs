//! The workloads with smmalloc.

#[global_allocator]
static GLOBAL: smmalloc::Smalloc = smmalloc::Smalloc::new();

fn main() -> std::process::ExitCode {
    brkmap_benches::load::main()
}
