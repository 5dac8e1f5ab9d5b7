//! The fronts: what a program calls. Each forwards to `process`, and says in its callers' terms what came of
//! it.

pub mod c;
#[cfg(all(feature = "override", target_env = "gnu"))]
mod glibc_names;
#[cfg(feature = "override")]
mod overrides;
#[cfg_attr(not(feature = "profile"), allow(dead_code))]
pub mod profile;
pub mod rust;
pub mod stats;
