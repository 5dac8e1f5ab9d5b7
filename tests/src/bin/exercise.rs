//! The scenarios on libc's malloc: run it under LD_PRELOAD to run them on that library.

fn main() {
    brkmap_tests::exercise::main(&std::alloc::System);
}
