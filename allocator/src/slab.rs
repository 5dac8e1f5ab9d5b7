//! A slab: one granule carved into blocks of one class.
//!
//! ```text
//!   granule   │ block │ block │ block │ block │ not carved yet …        │
//!   record     free: 0 1 1 0            (out of line: what is said in a free block is never trusted)
//!              used 2, carved 4
//! ```
//!
//! States: *full* (nothing free, everything carved; in no list) → *partial* (listed) → *empty* (no
//! block out; kept, or retired to the arena). A block counts as used while it is anywhere but in its
//! slab: with the program, in a magazine (of any thread), in a depot, on its way in an inbox.
//!
//! Invariants:
//! - I7: `carved - used` bits are set, all of them below `carved`.
//! - I8: A clean page holds nothing of a block that is out, nor of one that was handed out since it was
//!   purged.
//! - I9: What is not carved yet of a `zeroed` slab reads as zero, and has no memory behind it.

pub mod bitmap;
mod depot;
pub mod handed_out;
mod lists;
pub mod noted;
mod pages;
pub mod parcel;
mod record;
pub mod round;
pub mod site;
pub mod slabs;
pub mod slack;
pub mod slot;
pub mod stamp;
pub mod starts;

pub use record::Slab;
pub use starts::{block_at, capacity, index_of};
