//! What runs inside the processes that `brkmap compare` watches: requests to one allocator, with marks around each.
//!
//! Nothing here allocates but by the allocator that is watched.

pub mod arguments;
mod heap;
pub mod marker;
pub mod scenario;

pub use arguments::Arguments;
