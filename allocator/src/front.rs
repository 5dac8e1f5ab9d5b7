//! The fronts: what a program calls. Each forwards to `process`, and says in its callers' terms what came of
//! it.

#[allow(unsafe_code)]
pub mod c;
#[cfg(all(feature = "override", target_env = "gnu"))]
#[allow(unsafe_code)]
mod glibc_names;
#[cfg(feature = "override")]
#[allow(unsafe_code)]
mod overrides;
#[allow(unsafe_code)]
pub mod rust;
pub mod stats;
