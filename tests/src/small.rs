//! A small program on libc's malloc: run it under LD_PRELOAD to run it on that library.

fn main() {
    brkmap_tests::exercise::small::main(&std::alloc::System);
}
