//! The scenarios on libc's malloc where that is brkmap linked in, by the feature `override`.

#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

fn main() {
    brkmap_tests::exercise::main(&std::alloc::System);
}
