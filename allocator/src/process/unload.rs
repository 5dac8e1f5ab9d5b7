//! The end of the library that the crate is linked into: dlclose takes its code, so libc must not call it any
//! more, and what its arena has goes back but for the blocks that are out.
//!
//! ```text
//!   dlclose:  `first` ─► destructors, functions given to atexit ─► `last`: all goes back
//!   exit:     functions given to atexit ─► `first` ─► … ─► `last`: all stays, other threads may be running
//! ```
//!
//! So the two are told apart by what comes first: a function given to atexit, or `first`. Two kinds of
//! libraries would be wrong about it:
//!
//! - One in a namespace of its own (dlmopen(3)): its libc calls no function at exit. It is never unloaded.
//! - One that came with the program and made its first request in a constructor: libc calls its destructors
//!   before what was given to atexit so early. It gives the function again, as more threads come.
#![allow(unsafe_code)]

use super::instance::ALLOCATOR;
use super::{exit_key, fork};
use crate::os::{BreakOwner, Os, executable, stack};
use core::sync::atomic::{AtomicU32, Ordering};

const UNKNOWN: u32 = 0;
/// The function was given to atexit: until it is called the program does not end.
const WATCHED: u32 = 1;
const ENDING: u32 = 2;
const UNLOADING: u32 = 3;

/// Relaxed everywhere: dlclose and exit call what they call in one thread, and `watch` comes long before.
static STATE: AtomicU32 = AtomicU32::new(UNKNOWN);

/// Heaps that threads were given.
static HEAPS: AtomicU32 = AtomicU32::new(0);

/// Has the end of the program told apart from the end of the library, when a thread was given a heap: the
/// first one, the second, the fourth… May allocate.
///
/// Not for the process's malloc, which is never unloaded: at exit others free after its destructors.
pub fn watch() {
    let count = HEAPS.fetch_add(1, Ordering::Relaxed) + 1;
    if !count.is_power_of_two() || ALLOCATOR.arena.os.break_owner() == BreakOwner::Ours {
        return;
    }
    extern "C" fn at_exit() {
        if STATE.load(Ordering::Relaxed) == WATCHED {
            STATE.store(ENDING, Ordering::Relaxed);
        }
    }
    // SAFETY: libc calls the function before the library's code goes.
    if !executable::contains(&raw const STATE as usize) && unsafe { libc::atexit(at_exit) } == 0 {
        // Not what an end that is under way has set.
        let _ = STATE.compare_exchange(UNKNOWN, WATCHED, Ordering::Relaxed, Ordering::Relaxed);
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
    exit_key::forget();
    // The loader calls this, and no lock of the allocator's is held.
    if STATE.load(Ordering::Relaxed) == WATCHED {
        let unloading = executable::shares_namespace();
        STATE.store(if unloading { UNLOADING } else { ENDING }, Ordering::Relaxed);
    }
}

extern "C" fn last() {
    if STATE.load(Ordering::Relaxed) == UNLOADING {
        // A thread that the program has seen the work of may not have ended yet.
        exit_key::wait_for_hooks();
        // SAFETY: the library's code goes with its return: no thread is in it, or comes to be.
        unsafe {
            ALLOCATOR.unload();
            fork::unload();
            stack::unload(&ALLOCATOR.arena.os);
        }
    }
}
