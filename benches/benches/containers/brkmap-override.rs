//! Containers with brkmap as the malloc of the whole program.

mod suite;

#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

fn main() {
    suite::run("brkmap-override");
}
