//! The fronts: what a program calls. Each forwards to `process`, and says in its callers' terms what came of
//! it.

#[cfg(feature = "allocator-api")]
mod api;
#[cfg(all(feature = "allocator-api2", not(feature = "allocator-api")))]
mod api2;
#[cfg(any(feature = "allocator-api", feature = "allocator-api2"))]
mod by_layout;
pub mod c;
#[cfg(all(feature = "override", target_env = "gnu"))]
mod glibc_names;
pub mod heap;
#[cfg(feature = "override")]
mod overrides;
#[cfg_attr(not(feature = "profile"), allow(dead_code))]
pub mod profile;
pub mod rust;
pub mod stats;
