//! Containers with mimalloc v2.

mod suite;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    suite::run("mimalloc-v2");
}
