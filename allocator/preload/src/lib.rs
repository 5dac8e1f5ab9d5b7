//! libbrkmap.so: brkmap as the malloc of any program, by `LD_PRELOAD`. Exported symbols only.
#![deny(missing_docs)]

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
compile_error!("libbrkmap.so is for x86-64, aarch64 and riscv64; the crate `brkmap` builds for more");

mod front;
mod interposed;
mod objects;
mod personality;
mod symbols;
mod word;

brkmap_core::export_c_api!(front::Preloaded);
brkmap_core::export_glibc_names!(front::Preloaded);
