//! The end of the library that the crate is linked into: dlclose takes its code, so libc must not call it any
//! more, and what its arena has goes back but for the blocks that are out.
//!
//! ```text
//!   dlclose:  `first` ─► destructors, functions given to atexit ─► `last`: all goes back
//!   exit:     functions given to atexit ─► `first` ─► … ─► `last`: all stays, other threads may be running
//! ```
//!
//! So the two are told apart by what comes first: a function given to atexit, or `first`.

use super::thread::forget_exit_key;
use super::{ALLOCATOR, fork};
use crate::os::{BreakOwner, Os, executable};
use core::sync::atomic::{AtomicU32, Ordering};

const UNKNOWN: u32 = 0;
/// The function was given to atexit: until it is called the program does not end.
const WATCHED: u32 = 1;
const ENDING: u32 = 2;
const UNLOADING: u32 = 3;

/// Relaxed everywhere: dlclose and exit call what they call in one thread, and `watch` comes long before.
static STATE: AtomicU32 = AtomicU32::new(UNKNOWN);

/// Has the end of the program told apart from the end of the library. May allocate.
///
/// Not for the process's malloc, which is never unloaded. At exit others free after its destructors, and
/// where a constructor made the first request libc calls them before what was given to atexit.
pub fn watch() {
    if ALLOCATOR.arena.os.break_owner() == BreakOwner::Ours {
        return;
    }
    extern "C" fn at_exit() {
        if STATE.load(Ordering::Relaxed) == WATCHED {
            STATE.store(ENDING, Ordering::Relaxed);
        }
    }
    // SAFETY: libc calls the function before the library's code goes.
    if !executable::contains(&raw const STATE as usize) && unsafe { libc::atexit(at_exit) } == 0 {
        STATE.store(WATCHED, Ordering::Relaxed);
    }
}

/// Entries of this table are called from the last to the first, and the linker puts those with a number
/// before all others.
#[used]
#[unsafe(link_section = ".fini_array")]
static FIRST: extern "C" fn() = first;

#[used]
#[unsafe(link_section = ".fini_array.00000")]
static LAST: extern "C" fn() = last;

extern "C" fn first() {
    forget_exit_key();
    if STATE.load(Ordering::Relaxed) == WATCHED {
        STATE.store(UNLOADING, Ordering::Relaxed);
    }
}

extern "C" fn last() {
    if STATE.load(Ordering::Relaxed) == UNLOADING {
        // SAFETY: the library's code goes with its return: no thread is in it, or comes to be.
        unsafe {
            ALLOCATOR.unload();
            fork::unload();
        }
    }
}
