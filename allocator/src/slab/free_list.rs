//! Free blocks, linked through their first word; chains of them, linked through the second.
//!
//! ```text
//!   chain   head ──► block ──► block ──► null
//!            │ second word of the head: link to the next chain, and this chain's count
//! ```

use crate::sync::inbox::Packed;

/// The first words of a free block. The smallest block is 16 bytes: both fit.
#[repr(C)]
pub struct Link {
    next: *mut Link,
    chain: Packed,
}

impl Link {
    /// # Safety
    /// `block` is a free block, and the caller's.
    #[inline(always)]
    pub unsafe fn next(block: *mut Link) -> *mut Link {
        // SAFETY: a free block is readable, and its first word was written when it became free.
        unsafe { (*block).next }
    }

    /// # Safety
    /// `block` is a free block, and the caller's.
    #[inline(always)]
    pub unsafe fn set_next(block: *mut Link, next: *mut Link) {
        // SAFETY: a free block is at least 16 writable bytes that nobody else uses.
        unsafe { (&raw mut (*block).next).write(next) }
    }

    /// # Safety
    /// `block` heads a chain that `set_chain` was called for, and is the caller's.
    pub unsafe fn chain(block: *mut Link) -> Packed {
        // SAFETY: as the caller vouches.
        unsafe { (*block).chain }
    }

    /// # Safety
    /// `block` is a free block, and the caller's.
    pub unsafe fn set_chain(block: *mut Link, chain: Packed) {
        // SAFETY: as in `set_next`: 16 bytes.
        unsafe { (&raw mut (*block).chain).write(chain) }
    }
}

/// Free blocks of one class that the holder may hand out: `count` of them, linked, the last to null.
#[must_use = "a chain that is dropped is memory lost"]
pub struct Chain {
    pub head: *mut Link,
    pub count: u32,
}

impl Chain {
    pub const EMPTY: Chain = Chain { head: core::ptr::null_mut(), count: 0 };

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}
