//! Links the library so that dlclose never unloads it (blocks of it live on in the program, and so do the
//! exit hooks of its threads), and without std's panic machinery (see `personality.rs`). Programs that were
//! linked with it ask the loader for `libbrkmap.so.0`: the number goes up when a function of C's family
//! changes or goes.
//!
//! What it exports rustc tells the linker in a version script: the functions of `lib.rs` and nothing else
//! (`tests/tests/symbols.rs`). They have no versions. A version of ours would keep the loader from giving
//! them to a program that asks for `malloc` of glibc's, which is every program.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libbrkmap.so.0");
    println!("cargo:rustc-cdylib-link-arg=-Wl,--wrap=rust_eh_personality");
}
