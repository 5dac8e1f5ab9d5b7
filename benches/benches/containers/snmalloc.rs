//! Containers with snmalloc.

mod suite;

#[global_allocator]
static GLOBAL: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc;

fn main() {
    suite::run("snmalloc");
}
