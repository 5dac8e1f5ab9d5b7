//! What the process's names of the family lead to: not to this front, where somebody defines them before it.
//!
//! A program may have a malloc of its own, or another library of the kind comes first. What that one defines
//! is never called here; what it lacks is, with blocks that are its.

use crate::os::thread::ThreadWord;
use core::ffi::c_void;
use core::ptr::NonNull;

/// A function of the family that may be somebody else's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
#[allow(missing_docs, reason = "each is the function of that name")]
pub enum Name {
    Malloc,
    Free,
    Calloc,
    Realloc,
    Reallocarray,
    Memalign,
    AlignedAlloc,
    PosixMemalign,
    Valloc,
    Pvalloc,
    MallocUsableSize,
    FreeSized,
    FreeAlignedSized,
    Cfree,
    Mallinfo,
    Mallinfo2,
}

/// How many names there are.
pub const NAMES: usize = Name::Mallinfo2 as usize + 1;

/// A C front: a thread's word, and what it knows of the process's names.
pub trait Front: ThreadWord {
    /// Where a name leads in this process, if somebody defines it before this front does.
    fn elsewhere(_: Name) -> Option<NonNull<c_void>> {
        None
    }

    /// Makes the call unless this thread is inside of such a call: then what was called is made of this
    /// front's functions, and came back here.
    fn outside<T>(_: impl FnOnce() -> T) -> Option<T> {
        None
    }
}
