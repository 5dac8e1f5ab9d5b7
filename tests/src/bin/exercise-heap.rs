//! The scenarios on a heap of one's own, beside libc's malloc.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::{NonNull, null_mut};

struct Own(brkmap::Heap);

/// Null where there is none, with errno ENOMEM as libc leaves it.
fn block_of(block: Option<NonNull<u8>>) -> *mut u8 {
    block.map_or_else(
        || {
            nix::errno::Errno::ENOMEM.set();
            null_mut()
        },
        NonNull::as_ptr,
    )
}

// SAFETY: as the heap's functions say, which is never dropped.
unsafe impl GlobalAlloc for Own {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        block_of(self.0.alloc(layout))
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        block_of(self.0.alloc_zeroed(layout))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let block = NonNull::new(block).expect("a block");
        // SAFETY: as the caller promises.
        unsafe { self.0.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let block = NonNull::new(block).expect("a block");
        // SAFETY: as the caller promises.
        block_of(unsafe { self.0.realloc(block, layout, size) })
    }
}

fn main() {
    brkmap_tests::exercise::main(Box::leak(Box::new(Own(brkmap::Heap::new()))));
}
