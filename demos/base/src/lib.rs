//! What the programs of this folder have in common: how they fail, how they write, and how they name sizes.

#[cfg(feature = "bar")]
pub mod bar;
pub mod bytes;
pub mod error;
pub mod output;
pub mod style;
pub mod wrap;

pub use bytes::Bytes;
pub use error::{During, Error, Result};
