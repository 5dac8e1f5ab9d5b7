//! What is the same in all traits for allocators: blocks by layout, of any size, and how one gets another.
#![allow(unsafe_code)]

use crate::front::heap::Heap;
use crate::front::heap::shared::SharedHeap;
use crate::front::rust::BrkMap;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

/// Blocks for layouts. For no bytes a block is a dangling pointer.
///
/// # Safety
/// Blocks are as long and as aligned as their layout, and nobody else's, until they are given back or the
/// allocator is dropped, wherever it is moved.
pub unsafe trait ByLayout {
    fn alloc(&self, layout: Layout) -> Option<NonNull<u8>>;

    fn alloc_zeroed(&self, layout: Layout) -> Option<NonNull<u8>>;

    /// # Safety
    /// The block is of this allocator and this layout, and the caller gives it up.
    unsafe fn dealloc(&self, block: NonNull<u8>, layout: Layout);

    /// # Safety
    /// As for `dealloc`, where a block is returned; it has `size` bytes and the same alignment.
    unsafe fn realloc(&self, block: NonNull<u8>, layout: Layout, size: usize) -> Option<NonNull<u8>>;
}

// SAFETY: as the heap's functions say; its blocks lie outside of it, so it may be moved.
unsafe impl ByLayout for Heap {
    fn alloc(&self, layout: Layout) -> Option<NonNull<u8>> {
        self.alloc(layout)
    }

    fn alloc_zeroed(&self, layout: Layout) -> Option<NonNull<u8>> {
        self.alloc_zeroed(layout)
    }

    unsafe fn dealloc(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: as the caller vouches.
        unsafe { self.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: NonNull<u8>, layout: Layout, size: usize) -> Option<NonNull<u8>> {
        // SAFETY: as the caller vouches.
        unsafe { self.realloc(block, layout, size) }
    }
}

// SAFETY: its clones are owners of one heap, which is dropped with the last.
unsafe impl ByLayout for SharedHeap {
    fn alloc(&self, layout: Layout) -> Option<NonNull<u8>> {
        (**self).alloc(layout)
    }

    fn alloc_zeroed(&self, layout: Layout) -> Option<NonNull<u8>> {
        (**self).alloc_zeroed(layout)
    }

    unsafe fn dealloc(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: as the caller vouches.
        unsafe { (**self).dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: NonNull<u8>, layout: Layout, size: usize) -> Option<NonNull<u8>> {
        // SAFETY: as the caller vouches.
        unsafe { (**self).realloc(block, layout, size) }
    }
}

// SAFETY: the global allocator's blocks are the process's: all values of the type are one.
unsafe impl ByLayout for BrkMap {
    #[inline]
    fn alloc(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return dangling(layout);
        }
        // SAFETY: it is for some bytes.
        NonNull::new(unsafe { GlobalAlloc::alloc(self, layout) })
    }

    #[inline]
    fn alloc_zeroed(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return dangling(layout);
        }
        // SAFETY: it is for some bytes.
        NonNull::new(unsafe { GlobalAlloc::alloc_zeroed(self, layout) })
    }

    #[inline]
    unsafe fn dealloc(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() > 0 {
            // SAFETY: as the caller vouches.
            unsafe { GlobalAlloc::dealloc(self, block.as_ptr(), layout) };
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: NonNull<u8>, layout: Layout, size: usize) -> Option<NonNull<u8>> {
        let wanted = Layout::from_size_align(size, layout.align()).ok()?;
        if layout.size() == 0 {
            return ByLayout::alloc(self, wanted);
        }
        if size == 0 {
            // SAFETY: as the caller vouches.
            unsafe { ByLayout::dealloc(self, block, layout) };
            return dangling(wanted);
        }
        // SAFETY: as the caller vouches, and both layouts are valid.
        NonNull::new(unsafe { GlobalAlloc::realloc(self, block.as_ptr(), layout, size) })
    }
}

/// What stands for a block of no bytes.
#[inline]
fn dangling(layout: Layout) -> Option<NonNull<u8>> {
    NonNull::new(core::ptr::without_provenance_mut(layout.align()))
}

/// A block with its length.
#[inline]
pub fn whole(block: Option<NonNull<u8>>, layout: Layout) -> Option<NonNull<[u8]>> {
    block.map(|block| NonNull::slice_from_raw_parts(block, layout.size()))
}

/// Gives a block another layout. None where there is no memory: it is then as it was.
///
/// # Safety
/// The block is of this allocator and of the layout `old`; the caller uses the result in its stead.
#[inline]
pub unsafe fn change(
    allocator: &impl ByLayout,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Option<NonNull<[u8]>> {
    if old.align() == new.align() {
        // SAFETY: as the caller vouches.
        return whole(unsafe { allocator.realloc(block, old, new.size()) }, new);
    }
    let copy = allocator.alloc(new)?;
    // SAFETY: two blocks of the caller's, each at least as long as the smaller size; the old one is given up.
    unsafe {
        copy.copy_from_nonoverlapping(block, old.size().min(new.size()));
        allocator.dealloc(block, old);
    }
    whole(Some(copy), new)
}

/// As `change`, of a block that becomes longer, and reads as zero where it does.
///
/// # Safety
/// As for `change`; `new` is not shorter than `old`.
#[inline]
pub unsafe fn grow_zeroed(
    allocator: &impl ByLayout,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Option<NonNull<[u8]>> {
    // SAFETY: as the caller vouches.
    let grown = unsafe { change(allocator, block, old, new)? };
    // SAFETY: the block is the caller's, and so long.
    unsafe { grown.cast::<u8>().add(old.size()).write_bytes(0, new.size() - old.size()) };
    Some(grown)
}

/// Implements a trait `Allocator`, whose error is `AllocError`, for types that are `ByLayout`.
macro_rules! implement {
    ($($type:ty),+) => { $(
        // SAFETY: as for `ByLayout`.
        unsafe impl Allocator for $type {
            #[inline]
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                by_layout::whole(ByLayout::alloc(self, layout), layout).ok_or(AllocError)
            }

            #[inline]
            fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                by_layout::whole(ByLayout::alloc_zeroed(self, layout), layout).ok_or(AllocError)
            }

            #[inline]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: as the caller vouches.
                unsafe { ByLayout::dealloc(self, block, layout) };
            }

            #[inline]
            unsafe fn grow(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: as the caller vouches.
                unsafe { by_layout::change(self, block, old, new) }.ok_or(AllocError)
            }

            #[inline]
            unsafe fn grow_zeroed(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: as the caller vouches.
                unsafe { by_layout::grow_zeroed(self, block, old, new) }.ok_or(AllocError)
            }

            #[inline]
            unsafe fn shrink(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: as the caller vouches.
                unsafe { by_layout::change(self, block, old, new) }.ok_or(AllocError)
            }
        }
    )+ };
}
pub(super) use implement;
