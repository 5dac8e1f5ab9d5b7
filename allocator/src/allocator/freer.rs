//! Who frees.

use crate::heap::Heap;

/// Whose thread frees a block.
#[derive(Clone, Copy)]
pub enum Freer<'a> {
    /// One with a heap.
    Heap(&'a Heap),
    /// One without, which freed little so far: nothing of it should wait for more.
    Visitor,
    /// One without that frees much.
    Consumer,
}
