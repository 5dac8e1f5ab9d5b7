//! Containers with dlmalloc.

mod suite;

#[global_allocator]
static GLOBAL: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() {
    suite::run("dlmalloc");
}
