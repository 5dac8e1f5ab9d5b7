//! Containers with rusty_alloc.

mod suite;

#[global_allocator]
static GLOBAL: rusty_alloc_api::RustyAlloc = rusty_alloc_api::RustyAlloc;

fn main() {
    suite::run("rusty_alloc");
}
