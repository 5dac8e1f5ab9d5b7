//! The stamp of a free block: a word in it that says that the program gave it back.
//!
//! ```text
//!   bytes   0 …… 8   8 … 12   12 ……
//!                    stamp                 the program's, or a parcel's
//! ```
//!
//! C's free writes it and C's malloc takes it away, so a block that is freed with its stamp on was most
//! likely freed before. Most likely only: a program may write the same word, or copy it from memory that it
//! never wrote; so before a program is ended for it the block is looked for (`heap/look.rs`). Where the stamp
//! is missing, nothing is known: Rust's dealloc writes none, and a write to a freed block may have taken it
//! away.
#![allow(unsafe_code)]

use crate::base::units::side_by_side;

/// Half a word, so that a block of 16 bytes has room for a parcel's words beside it. No number that programs
/// use, and small enough to be part of an instruction.
const STAMP: u32 = 0xF4EE_B10C;

/// Where in a block the stamp is: behind the word that programs chain what they freed by.
pub const AT: usize = 8;

fn place(block: *mut u8) -> *mut u32 {
    block.wrapping_add(AT).cast()
}

/// The word of the stamp and what lies behind it.
#[inline(always)]
pub fn with(behind: u32) -> u64 {
    side_by_side(STAMP, behind)
}

/// # Safety
/// A block of a slab begins at `block`.
#[inline(always)]
pub unsafe fn is_on(block: *mut u8) -> bool {
    // SAFETY: every block has 16 bytes at least (caller).
    unsafe { place(block).read() == STAMP }
}

/// # Safety
/// As for `is_on`, and the block is the caller's.
#[inline(always)]
pub unsafe fn put(block: *mut u8) {
    // SAFETY: every block has 16 bytes at least, and the caller has it alone.
    unsafe { place(block).write(STAMP) }
}

/// # Safety
/// As for `put`.
#[inline(always)]
pub unsafe fn take_away(block: *mut u8) {
    // SAFETY: every block has 16 bytes at least, and the caller has it alone.
    unsafe { place(block).write(0) }
}
