//! libbrkmap.so: brkmap as the malloc of any program, by `LD_PRELOAD`. Exported symbols only.
#![deny(missing_docs)]

mod front;
mod interposed;
mod objects;
mod personality;
mod symbols;
mod word;

brkmap_core::export_c_api!(front::Preloaded);
brkmap_core::export_glibc_names!(front::Preloaded);
