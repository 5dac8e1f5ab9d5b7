//! The order of one thread's stores, as the child of a fork finds them.
//!
//! A fork copies what a thread stored up to some instruction of its, and nothing that comes behind it: the
//! kernel has each processor take the pages for read-only before it goes on. So the processor tears no order
//! that the program has, and the compiler may. What is one store behind is right in the copy; what is half of
//! two stores is not. A structure that is to be right in any copy keeps two stores apart by a call of
//! `in_order`.

use core::sync::atomic::{Ordering, compiler_fence};

/// The stores before this call come before those behind it, in this thread and in a fork's copy of it. A
/// fence of the compiler's, and no instruction.
#[inline(always)]
pub fn in_order() {
    compiler_fence(Ordering::Release);
}
