//! The child of a fork: looked over before it uses what it inherited.
//!
//! ```text
//!   fork()                     ─► libc calls `in_child` ─────────────┐
//!   another's handler, before ours, or _Fork, or the system call     ├─► one thread repairs, once
//!     a slow path  ─► `look`: the birth word reads zero ─────────────┤
//!     a lock that no one will open ─► `watch` ───────────────────────┘
//! ```
//!
//! The birth word lies on a page that the kernel zeroes in a fork's child, and in no other: a child that
//! shares its parent's memory (vfork) finds all as it is, and its parent's other threads at work. Where the
//! kernel has no such page the word is one like another; the handler then wipes it, and who waits very long
//! for a lock asks for the process's number.
#![allow(unsafe_code)]

use super::instance::ALLOCATOR;
use super::{background, configuration, exit_key, word};
use crate::base::why::{Cause, Reason};
use crate::heap::registry::Threads;
use crate::os::Os;
use crate::os::thread::ThreadWord;
use crate::sync::birth::Birth;
use crate::sync::lock::set_watch;
use crate::sync::token::token;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use rustix::process::getpid;
use rustix::thread::gettid;

/// The birth word, from the first slow path on: no lock was taken before.
static BIRTH: AtomicPtr<Birth> = AtomicPtr::new(null_mut());

/// The word where there is no page for it.
static KEPT: Birth = Birth::new();

/// The number of the process that was looked over last, as far as it was asked for.
static LOOKED_OVER: AtomicI32 = AtomicI32::new(0);

/// Sleeps of a waiter, of 50 us each, before it thinks of a fork where only the process's number tells it. In
/// a child that shares its parent's memory the number is another too, and the holder is at work.
const PATIENCE: u32 = 4000;

/// The token of the thread that a signal handler interrupted in a slow path, and forked; or 0. What it held
/// in the parent it holds in the child, until the handler has returned.
static INTERRUPTED: AtomicUsize = AtomicUsize::new(0);

/// Whether a request may go its way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Free,
    /// It comes from below a signal handler that forked, and interrupted this thread in the middle of a
    /// change: no lock of ours may be waited for, and nothing of the thread's heap be touched.
    Barred,
}

/// To be called before anything that relies on what another thread may have been changing at a fork: the slow
/// paths.
#[inline]
pub fn look<W: ThreadWord>() -> Way {
    let birth = BIRTH.load(Ordering::Acquire);
    // SAFETY: null, or a birth word that stays for good.
    let looked_over = unsafe { birth.as_ref() }.is_some_and(Birth::is_looked_over);
    // Relaxed: a thread asks about its own store.
    if looked_over && INTERRUPTED.load(Ordering::Relaxed) == 0 {
        return Way::Free;
    }
    look_closer::<W>()
}

#[cold]
#[inline(never)]
fn look_closer<W: ThreadWord>() -> Way {
    let me = token();
    if look_over::<W>() && is_interrupted::<W>() {
        INTERRUPTED.store(me, Ordering::Relaxed);
        if word::current::<W>().is_busy() {
            // Its lists are half changed: nobody is to use them before the thread goes on.
            word::let_go::<W>();
        }
    }
    if INTERRUPTED.load(Ordering::Relaxed) != me {
        return Way::Free;
    }
    if is_interrupted::<W>() {
        return Way::Barred;
    }
    INTERRUPTED.store(0, Ordering::Relaxed);
    Way::Free
}

/// Whether the calling thread is in the middle of a change: it asks from below a signal handler then.
fn is_interrupted<W: ThreadWord>() -> bool {
    exit_key::is_mine() || ALLOCATOR.is_mine(token()) || word::current::<W>().is_busy()
}

/// Has the child looked over, where nobody did. Whether this call did it.
fn look_over<W: ThreadWord>() -> bool {
    let birth = BIRTH.load(Ordering::Acquire);
    // SAFETY: as in `look`.
    let birth = unsafe { birth.as_ref() }.unwrap_or_else(begin::<W>);
    let mut done = false;
    if !birth.is_looked_over() {
        let me = token();
        birth.look_over(me, || {
            // Of a child's threads only the first was there at the fork.
            let threads = if gettid() == getpid() { Threads::One } else { Threads::Several };
            // SAFETY: the others of the parent are gone, and those of the child wait for this.
            unsafe {
                exit_key::repair_after_fork();
                ALLOCATOR.repair_after_fork(me, threads);
            }
            note_process();
            background::forget();
            done = true;
        });
    }
    done
}

/// The first slow path of the process, of several threads at once perhaps.
fn begin<W: ThreadWord>() -> &'static Birth {
    set_watch(watch::<W>);
    configuration::read();
    let page = ALLOCATOR.arena.os.page_wiped_by_fork();
    let ours = page.map_or(&raw const KEPT, |page| page.cast_const().cast());
    // SAFETY: a static, or a page that stays for good; zeros are a birth word.
    let birth: &'static Birth = unsafe { &*ours };
    birth.begin();
    if page.is_none() {
        note_process();
    }
    match BIRTH.compare_exchange(null_mut(), ours.cast_mut(), Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => birth,
        Err(theirs) => {
            if let Some(page) = page {
                // SAFETY: mapped above, and nobody knows of it.
                unsafe { unmap(page) };
            }
            // SAFETY: as for ours.
            unsafe { &*theirs }
        }
    }
}

fn note_process() {
    // Relaxed: read by whoever is alone, or waits long.
    LOOKED_OVER.store(getpid().as_raw_nonzero().get(), Ordering::Relaxed);
}

/// Whether this is another process than the one that was looked over last. True where nobody asked before.
fn is_new_process() -> bool {
    LOOKED_OVER.load(Ordering::Relaxed) != getpid().as_raw_nonzero().get()
}

/// libc's call in the child of `fork`. Somebody's handler may have been called before, and had it looked
/// over.
pub unsafe extern "C" fn in_child<W: ThreadWord>() {
    forget_if_new();
    _ = look::<W>();
    background::want();
}

/// A thread sleeps for a lock. It is in the middle of something by right: nothing of its own is barred.
fn watch<W: ThreadWord>(slept: u32) {
    if slept == PATIENCE && core::ptr::eq(BIRTH.load(Ordering::Acquire), &KEPT) {
        forget_if_new();
    }
    look_over::<W>();
}

fn forget_if_new() {
    // SAFETY: as in `look`.
    if let Some(birth) = unsafe { BIRTH.load(Ordering::Acquire).as_ref() }
        && is_new_process()
    {
        birth.forget();
    }
}

/// Unmaps the birth word's page, for a library that is unloaded.
///
/// # Safety
/// No thread is inside of the allocator, or enters it from here on.
pub unsafe fn unload() {
    let birth = BIRTH.load(Ordering::Acquire);
    if !birth.is_null() && !core::ptr::eq(birth, &KEPT) {
        // SAFETY: the page that `begin` mapped; as the caller vouches nobody looks again.
        unsafe { unmap(birth.cast()) };
    }
}

/// # Safety
/// The page is from `page_wiped_by_fork`, and nobody uses it any more.
unsafe fn unmap(page: *mut u8) {
    let os = &ALLOCATOR.arena.os;
    // SAFETY: as the caller vouches.
    unsafe { os.unmap(page, os.page(), Reason::Fork.by(Cause::Process)) };
}
