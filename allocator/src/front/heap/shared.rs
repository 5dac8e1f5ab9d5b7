//! A heap that several owners share.

use super::Heap;
use core::ops::Deref;
use std::sync::Arc;

/// A [Heap] with several owners, which is dropped with the last of them.
///
/// Collections that own their allocator, and are cloned with it, take this one where a `&Heap` does not live
/// long enough.
///
/// ```
/// use brkmap::{Heap, SharedHeap};
///
/// let shared = SharedHeap::from(Heap::with_limit(1 << 20));
/// let other = shared.clone();
/// let thread = std::thread::spawn(move || other.alloc(std::alloc::Layout::new::<u64>()).is_some());
/// assert!(thread.join().unwrap());
/// assert_eq!(shared.figures().blocks, 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct SharedHeap(Arc<Heap>);

impl From<Heap> for SharedHeap {
    fn from(heap: Heap) -> SharedHeap {
        SharedHeap(Arc::new(heap))
    }
}

impl Deref for SharedHeap {
    type Target = Heap;

    fn deref(&self) -> &Heap {
        &self.0
    }
}
