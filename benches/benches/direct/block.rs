//! Memory of a named allocator, as `Box` and `Vec` hold that of the global one.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

/// A value of a constant layout.
pub struct Boxed<A: GlobalAlloc + 'static, T: Copy> {
    pointer: NonNull<T>,
    allocator: &'static A,
}

impl<A: GlobalAlloc, T: Copy> Boxed<A, T> {
    #[inline]
    pub fn new(allocator: &'static A, value: T) -> Boxed<A, T> {
        const { assert!(size_of::<T>() > 0, "an allocator is not asked for nothing") };
        // SAFETY: the layout is not empty, as just asserted.
        let pointer =
            NonNull::new(unsafe { allocator.alloc(Layout::new::<T>()) }.cast()).expect("there is memory");
        // SAFETY: fresh memory of T's layout, which nobody else has.
        unsafe { pointer.write(value) };
        Boxed { pointer, allocator }
    }
}

impl<A: GlobalAlloc, T: Copy> Drop for Boxed<A, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: it came from this allocator with this layout, and this is its only owner's end.
        unsafe { self.allocator.dealloc(self.pointer.as_ptr().cast(), Layout::new::<T>()) };
    }
}

/// Bytes of a layout that is known when they are asked for.
pub struct Block<A: GlobalAlloc + 'static> {
    pointer: NonNull<u8>,
    layout: Layout,
    allocator: &'static A,
}

// SAFETY: an allocator that can be the global one takes memory back from any thread.
unsafe impl<A: GlobalAlloc + Sync> Send for Block<A> {}

impl<A: GlobalAlloc> Block<A> {
    #[inline]
    pub fn new(allocator: &'static A, size: usize) -> Block<A> {
        Block::aligned(allocator, size, 1)
    }

    /// Its first byte is written.
    #[inline]
    pub fn aligned(allocator: &'static A, size: usize, align: usize) -> Block<A> {
        let layout = layout(size, align);
        // SAFETY: the layout is not empty: `layout` sees to that.
        let pointer = NonNull::new(unsafe { allocator.alloc(layout) }).expect("there is memory");
        // SAFETY: the block has at least one byte.
        unsafe { pointer.write(1) };
        Block { pointer, layout, allocator }
    }

    #[inline]
    pub fn zeroed(allocator: &'static A, size: usize) -> Block<A> {
        let layout = layout(size, 1);
        // SAFETY: the layout is not empty: `layout` sees to that.
        let pointer = NonNull::new(unsafe { allocator.alloc_zeroed(layout) }).expect("there is memory");
        Block { pointer, layout, allocator }
    }

    /// Makes it this long, and writes its last byte.
    #[inline]
    pub fn resize(&mut self, size: usize) {
        let new = layout(size, self.layout.align());
        // SAFETY: the block came from this allocator with the layout kept beside it, and `new` is not
        // empty and of the same alignment.
        let moved = unsafe { self.allocator.realloc(self.pointer.as_ptr(), self.layout, new.size()) };
        self.pointer = NonNull::new(moved).expect("there is memory");
        self.layout = new;
        // SAFETY: `size - 1` is inside the block of `size` bytes, which nobody else has.
        unsafe { self.pointer.add(size - 1).write(1) };
    }

    #[inline]
    pub fn first(&self) -> u8 {
        // SAFETY: the block has a first byte, and each way to make one writes it.
        unsafe { self.pointer.read() }
    }
}

#[inline]
fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size.max(1), align).expect("a size that fits")
}

impl<A: GlobalAlloc> Drop for Block<A> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: it came from this allocator with this layout, and this is its only owner's end.
        unsafe { self.allocator.dealloc(self.pointer.as_ptr(), self.layout) };
    }
}
