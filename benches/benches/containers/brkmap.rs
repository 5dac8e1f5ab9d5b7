//! Containers with brkmap.

mod suite;

#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

fn main() {
    suite::run("brkmap");
}
