//! libbrkmap.so: brkmap as the malloc of any program, by `LD_PRELOAD`. Exported symbols only.

mod interposed;
mod personality;
mod word;

brkmap_core::export_c_api!(word::InitialExec);
