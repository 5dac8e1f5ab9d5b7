//! `brk` and `sbrk` where this allocator is the process's malloc: others may go on moving the break,
//! above what is ours, and under the lock that our own moves take.
#![allow(unsafe_code)]

use super::answer::{claim_break, fail};
use super::names::Front;
use crate::base::why::{Cause, Reason};
use crate::os::Os;
use crate::process::ALLOCATOR;
use crate::process::fork::look;
use core::ffi::{c_int, c_void};

const FAILED: *mut c_void = usize::MAX as *mut c_void;

/// Moves the break. Below what this allocator has it cannot go: ENOMEM.
pub fn sbrk<F: Front>(increment: libc::intptr_t) -> *mut c_void {
    move_break::<F>(|_| increment)
}

/// Sets the break. Below what this allocator has it cannot go: ENOMEM.
pub fn brk<F: Front>(to: *mut c_void) -> c_int {
    let moved = move_break::<F>(|brk| to.addr().wrapping_sub(brk) as libc::intptr_t);
    if moved == FAILED { -1 } else { 0 }
}

/// Moves the break by what `increment` says of where it is: the break before.
fn move_break<F: Front>(increment: impl FnOnce(usize) -> libc::intptr_t) -> *mut c_void {
    claim_break::<F>();
    // The child of a fork has to know where the break is; below a handler the lock says what is barred.
    _ = look::<F>();
    let (os, why) = (&ALLOCATOR.arena.os, Reason::Program.by(Cause::Program));
    ALLOCATOR.arena.with_break_held(|ours| {
        let brk = os.current_break();
        let increment = increment(brk);
        let moved = match increment {
            0 => true,
            1.. => {
                return os.grow_break(increment as usize, why).map_or_else(no_memory, |before| before.cast());
            }
            _ => {
                let by = increment.unsigned_abs();
                // SAFETY: what lies above the arena's end is the callers' of sbrk.
                brk.checked_sub(by).is_some_and(|to| to >= ours) && unsafe { os.shrink_break(by, why) }
            }
        };
        if moved && brk != 0 { core::ptr::with_exposed_provenance_mut(brk) } else { no_memory() }
    })
}

fn no_memory() -> *mut c_void {
    fail(libc::ENOMEM);
    FAILED
}
