//! The calling thread's word: which heap it has.
#![allow(unsafe_code)]

use crate::heap::{EMPTY, Heap};
use crate::os::thread::ThreadWord;
use core::ffi::c_void;

/// The calling thread's heap for the fast paths; `EMPTY` where it has none.
#[inline(always)]
pub fn current<W: ThreadWord>() -> &'static Heap {
    // SAFETY: a thread's word is EMPTY or a heap, and heaps are never unmade.
    unsafe { &*W::get().cast::<Heap>() }
}

/// Takes the calling thread's heap from it, in the middle of a change, until it asks for one again: then it
/// gets the same (`Registry::claim`).
pub fn let_go<W: ThreadWord>() {
    W::set(core::ptr::from_ref(&EMPTY).cast::<c_void>().cast_mut());
}
