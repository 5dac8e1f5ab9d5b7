//! The same small program on the Rust front.

#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

fn main() {
    brkmap_tests::exercise::small::main(&GLOBAL);
}
