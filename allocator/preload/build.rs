//! Links the library so that dlclose never unloads it: blocks of it live on in the program, and so do the
//! exit hooks of its threads.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
