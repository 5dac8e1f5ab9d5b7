//! The background thread, where the program wants one: it gives back what lies unused, and everything that it
//! can where the kernel says that memory is short.
//!
//! ```text
//!   wanted ─► due: the program has begun ─► running: nothing dirty? asleep until something is (`idle`)
//!     ▲                                        │      else a period of `decay`, with an eye on the cgroup
//!     ╰── a fork's child, by libc's handler ◄──┤
//!                                  ended ◄─────╯  main's own thread has ended
//! ```
//!
//! It is made where the main thread allocates, and not in a free: libc frees under locks that the making of a
//! thread needs. The main thread, because its end is told (`pthread_exit`): then the background thread goes
//! too, or the program would never end. It allocates nothing, and has no heap.
#![allow(unsafe_code)]

use super::instance::ALLOCATOR;
use crate::base::complaint;
use crate::base::fatal;
use crate::base::keys::Key;
use crate::os::background::{self, Events, Waited};
use crate::os::{BreakOwner, Os, executable};
use crate::sync::token::token;
use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

const NONE: u32 = 0;
/// It is to be made by the main thread, at its next slow path.
const DUE: u32 = 1;
const RUNNING: u32 = 2;
/// It is to end.
const ENDING: u32 = 3;

/// Relaxed everywhere: what the threads share they share under the allocator's locks.
static STATE: AtomicU32 = AtomicU32::new(NONE);

/// The token of the main thread, from when on the program's constructors are called: before, libc may not be
/// ready for threads.
static MAIN: AtomicUsize = AtomicUsize::new(0);

/// Milliseconds of the longest sleep while anything is dirty: so long may the thread go unnoticed that it is
/// to end.
const NAP: u32 = 1000;
/// Between two looks at a kernel that says again and again that memory is short.
const PAUSE: u32 = 100;

#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

extern "C" fn begin() {
    MAIN.store(token(), Ordering::Relaxed);
}

/// Has the thread made soon, if it is wanted: after the configuration was read, and in a fork's child, whose
/// parent's thread is not there.
pub fn want() {
    let os = &ALLOCATOR.arena.os;
    // The code of a library that may be unloaded would go from under the thread.
    let stays = os.break_owner() == BreakOwner::Ours || executable::contains(&raw const STATE as usize);
    if ALLOCATOR.arena.settings.is_on(Key::Background) && stays {
        _ = STATE.compare_exchange(NONE, DUE, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// In a fork's child: the thread is not there, and the main thread is another, perhaps.
pub fn forget() {
    ALLOCATOR.arena.budget.sleeper.get_up();
    STATE.store(NONE, Ordering::Relaxed);
    if MAIN.load(Ordering::Relaxed) != 0 {
        begin();
    }
}

fn is_main() -> bool {
    MAIN.load(Ordering::Relaxed) == token()
}

/// Whether the thread waits for the caller to make it.
#[inline(always)]
pub fn is_due() -> bool {
    STATE.load(Ordering::Relaxed) == DUE && is_main()
}

/// Makes the thread that is due.
#[cold]
#[inline(never)]
pub fn start() {
    // Before the thread is made: that allocates.
    if STATE.compare_exchange(DUE, RUNNING, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return;
    }
    if !background::start(run) {
        STATE.store(NONE, Ordering::Relaxed);
        fatal::warn(&[], complaint::no_thread().bytes());
    }
}

/// A thread has ended that had a heap: with the main thread the background thread goes.
pub fn end_with_main() {
    if is_main() && STATE.compare_exchange(RUNNING, ENDING, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        ALLOCATOR.arena.os.wake(&STATE);
        // Its locks are between, as for who makes something dirty: the thread sees the word above, or this
        // one sees that it sleeps.
        _ = ALLOCATOR.is_dirty();
        ALLOCATOR.arena.wake_sleeper();
    }
}

fn is_ending() -> bool {
    STATE.load(Ordering::Relaxed) == ENDING
}

extern "C" fn run(_: *mut c_void) -> *mut c_void {
    background::name_thread(c"brkmap");
    let settings = &ALLOCATOR.arena.settings;
    let events = Events::open(settings.text(Key::MemoryEvents).bytes());
    while !is_ending() {
        sleep_while_clean();
        let mut left = settings.get(Key::Decay) as u32;
        if left == 0 && events.is_none() {
            // There is never anything to do.
            break;
        }
        let for_ever = left == 0;
        while !is_ending() && (left > 0 || for_ever) && ALLOCATOR.is_dirty() {
            let nap = if for_ever { NAP } else { left.min(NAP) };
            if wait(events.as_ref(), nap) == Waited::Short {
                ALLOCATOR.trim(None);
                wait(None, PAUSE);
            }
            left = left.saturating_sub(nap);
        }
        if left == 0 && !for_ever {
            ALLOCATOR.purge_idle();
        }
    }
    STATE.store(NONE, Ordering::Relaxed);
    null_mut()
}

/// Sleeps until anything is dirty, or the thread is to end.
fn sleep_while_clean() {
    let sleeper = &ALLOCATOR.arena.budget.sleeper;
    sleeper.lie_down();
    // Behind the word: who makes something dirty from here on wakes.
    if !ALLOCATOR.is_dirty() && !is_ending() {
        sleeper.sleep(&ALLOCATOR.arena.os);
    }
    sleeper.get_up();
}

fn wait(events: Option<&Events>, millis: u32) -> Waited {
    match events {
        Some(events) => events.wait(millis),
        None => {
            ALLOCATOR.arena.os.wait(&STATE, RUNNING, Some(millis));
            Waited::Elapsed
        }
    }
}
