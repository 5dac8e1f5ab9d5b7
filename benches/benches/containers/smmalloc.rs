//! Containers with smmalloc.

mod suite;

#[global_allocator]
static GLOBAL: smmalloc::Smalloc = smmalloc::Smalloc::new();

fn main() {
    suite::run("smmalloc");
}
