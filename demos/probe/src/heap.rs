//! The allocator that a probe asks.

use std::alloc::Layout;
use std::ffi::c_void;

/// The allocator under the probe. Null means that it refused.
pub trait Heap {
    fn allocate(&self, size: usize) -> *mut u8;
    /// # Safety
    /// `block` is a live block of `old` bytes from this heap; it is dead when the answer is not null.
    unsafe fn resize(&self, block: *mut u8, old: usize, new: usize) -> *mut u8;
    /// # Safety
    /// `block` is a live block of `size` bytes from this heap, and dead afterwards.
    unsafe fn release(&self, block: *mut u8, size: usize);
    /// An address inside the allocator's code, to show whose it is; 0 when that is no question.
    fn code(&self) -> usize;
}

/// The C functions: libc's, or those of a library that was preloaded.
pub struct LibcHeap;

impl Heap for LibcHeap {
    fn allocate(&self, size: usize) -> *mut u8 {
        // SAFETY: malloc takes any size.
        unsafe { libc::malloc(size) }.cast()
    }

    unsafe fn resize(&self, block: *mut u8, _: usize, new: usize) -> *mut u8 {
        // SAFETY: `block` is live and from `allocate`, by this function's contract.
        unsafe { libc::realloc(block.cast(), new) }.cast()
    }

    unsafe fn release(&self, block: *mut u8, _: usize) {
        // SAFETY: `block` is live and from `allocate`, by this function's contract.
        unsafe { libc::free(block.cast()) }
    }

    fn code(&self) -> usize {
        libc::malloc as unsafe extern "C" fn(usize) -> *mut c_void as usize
    }
}

/// The global allocator of the program that this is linked into, by the road of `Box` and `Vec`.
pub struct RustHeap;

/// What a `Vec` of pointers or numbers asks for.
const ALIGN: usize = 8;

impl Heap for RustHeap {
    fn allocate(&self, size: usize) -> *mut u8 {
        match Layout::from_size_align(size, ALIGN) {
            // SAFETY: the size is not 0: `run` refuses that.
            Ok(layout) => unsafe { std::alloc::alloc(layout) },
            Err(_) => std::ptr::null_mut(),
        }
    }

    unsafe fn resize(&self, block: *mut u8, old: usize, new: usize) -> *mut u8 {
        match (Layout::from_size_align(old, ALIGN), Layout::from_size_align(new, ALIGN)) {
            // SAFETY: `block` is live with the old layout, by this function's contract; the new
            // size makes a layout and is not 0.
            (Ok(layout), Ok(_)) => unsafe { std::alloc::realloc(block, layout, new) },
            _ => std::ptr::null_mut(),
        }
    }

    unsafe fn release(&self, block: *mut u8, size: usize) {
        if let Ok(layout) = Layout::from_size_align(size, ALIGN) {
            // SAFETY: `block` is live with this layout, by this function's contract.
            unsafe { std::alloc::dealloc(block, layout) }
        }
    }

    fn code(&self) -> usize {
        0
    }
}
