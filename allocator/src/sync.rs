//! What threads share, as small state machines: each file lists its edges, cites them at every
//! site, and has its loom models beside it.
//!
//! Under `--cfg loom` this is the only module built: it knows nothing of raw memory, so that loom
//! can replace its atomics and explore every interleaving.

pub mod id_stack;
pub mod inbox;
pub mod lock;

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU64, Ordering};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU64, Ordering};
