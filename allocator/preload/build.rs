//! Links the library so that dlclose never unloads it (blocks of it live on in the program, and so do the
//! exit hooks of its threads), and without std's panic machinery (see `personality.rs`).

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,--wrap=rust_eh_personality");
}
