//! The move: a block that gets another size by a copy, or where there is no memory for one in another way.
#![allow(unsafe_code)]

use super::instance::ALLOCATOR;
use crate::allocator::Unlike;
use core::ptr::null_mut;

/// A block that gets another size by a copy.
pub struct Move {
    pub block: *mut u8,
    /// How many of its bytes are the caller's.
    pub usable: usize,
    pub size: usize,
    pub or_else: OrElse,
}

/// What becomes of a block for whose copy there is no memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OrElse {
    /// It stays as it is where that is long enough. A mapping may grow.
    Stay,
    /// A mapping may change its length. Nothing may stay longer than it was asked for: its layout says how it
    /// is freed.
    Stretch,
    Fail,
}

/// Moves a block to one that `allocate` makes, and has `free` free the old one. Null where there is no memory
/// for either way; the block is then as it was.
///
/// # Safety
/// The block is the caller's, and of at least `usable` bytes; it uses the result in its stead where that is
/// not null. `allocate` gives null or a new block of at least `size` bytes.
#[inline(always)]
pub unsafe fn move_block(
    Move { block, usable, size, or_else }: Move,
    allocate: impl FnOnce() -> *mut u8,
    free: impl FnOnce(*mut u8),
) -> *mut u8 {
    let new = allocate();
    if new.is_null() {
        // SAFETY: as the caller vouches.
        return unsafe { without_copy(Move { block, usable, size, or_else }) };
    }
    // SAFETY: two live blocks, each at least as long as the smaller of the two sizes.
    unsafe { new.copy_from_nonoverlapping(block, usable.min(size)) };
    free(block);
    new
}

/// # Safety
/// As for `move_block`.
#[cold]
#[inline(never)]
unsafe fn without_copy(Move { block, usable, size, or_else }: Move) -> *mut u8 {
    match or_else {
        OrElse::Stay if size <= usable => {
            ALLOCATOR.sizes.note(Unlike::Refused);
            block
        }
        // SAFETY: as the caller vouches.
        OrElse::Stay | OrElse::Stretch => unsafe {
            ALLOCATOR.resize_without_copy(block, size).unwrap_or(null_mut())
        },
        OrElse::Fail => null_mut(),
    }
}
