//! The C front of this library: its words for each thread, and what the process's names lead to.

use crate::interposed;
use crate::word::{Frees, HandingOn, Heap};
use brkmap_core::ThreadWord;
use brkmap_core::c_api::{Front, Name};
use core::ffi::c_void;
use core::ptr::{NonNull, null_mut, without_provenance_mut};

pub struct Preloaded;

impl ThreadWord for Preloaded {
    const SERVES_C: bool = true;

    #[inline(always)]
    fn get() -> *mut c_void {
        Heap::get()
    }

    #[inline(always)]
    fn set(word: *mut c_void) {
        Heap::set(word);
    }

    fn count_free() -> u32 {
        let count = Frees::get().addr().wrapping_add(1);
        Frees::set(without_provenance_mut(count));
        count as u32
    }

    fn is_process_malloc() -> bool {
        interposed::is_process_malloc()
    }
}

impl Front for Preloaded {
    #[inline]
    fn elsewhere(name: Name) -> Option<NonNull<c_void>> {
        interposed::elsewhere(name)
    }

    fn outside<T>(call: impl FnOnce() -> T) -> Option<T> {
        if !HandingOn::get().is_null() {
            return None;
        }
        HandingOn::set(NonNull::dangling().as_ptr());
        let result = call();
        HandingOn::set(null_mut());
        Some(result)
    }
}
