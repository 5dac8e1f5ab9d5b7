//! What a process shows to whoever watches it, where it is asked to: a page of memory that it shares, written
//! anew from its slow paths, ten times a second at most.
//!
//! ```text
//!   0       8     16       24        64
//!   │ magic │ turn │ bytes │ process │ one object of JSON …                        │
//!             odd while it is being written
//! ```
//!
//! A process at rest writes nothing: what it showed last is what it is.
#![allow(unsafe_code)]

use super::instance::ALLOCATOR;
use crate::base::keys::Key;
use crate::os::numbers;
use crate::os::shared::{milliseconds, share};
use crate::sync::lock::Lock;
use core::fmt::{Result, Write};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering, fence};

/// Bytes of the page, of which those that are written have memory.
const LEN: usize = 1 << 20;
const HEAD: usize = 64;
const MAGIC: u64 = u64::from_le_bytes(*b"brkmap\x00\x01");

/// Milliseconds between two writes, at least.
const PAUSE: u64 = 100;

/// The page, if there is to be one. Relaxed: set before the first block of the process, and in a fork's child
/// by whoever writes.
static PAGE: AtomicPtr<Page> = AtomicPtr::new(null_mut());

/// When it is to be written next. Relaxed: who changes it writes.
static DUE: AtomicU64 = AtomicU64::new(0);

/// Who writes. A fork's child that finds it taken opens it: what it guards is the parent's.
static WRITER: Lock<()> = Lock::new(());

#[repr(C)]
struct Page {
    magic: AtomicU64,
    turn: AtomicU64,
    bytes: AtomicU64,
    process: AtomicU64,
}

/// Shares a page, if the key says so.
pub fn begin() {
    if ALLOCATOR.arena.settings.is_on(Key::Watch) {
        begin_anew();
    }
}

fn begin_anew() {
    let page: *mut Page = share(c"brkmap-watch", LEN).map_or(null_mut(), |at| at.cast());
    // SAFETY: null, or a mapping of zeros, which are a page.
    if let Some(page) = unsafe { page.as_ref() } {
        page.process.store(process(), Ordering::Relaxed);
        page.magic.store(MAGIC, Ordering::Relaxed);
    }
    PAGE.store(page, Ordering::Relaxed);
}

fn process() -> u64 {
    numbers::process() as u64
}

/// To be called in the slow paths, with no lock held.
#[inline]
pub fn tick() {
    let page = PAGE.load(Ordering::Relaxed);
    // Before the arena has started there is nothing to show.
    if !page.is_null() && ALLOCATOR.arena.geometry().is_some() {
        tick_at(page);
    }
}

#[cold]
#[inline(never)]
fn tick_at(page: *mut Page) {
    let (now, due) = (milliseconds(), DUE.load(Ordering::Relaxed));
    let next = now + PAUSE;
    if now < due || DUE.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return;
    }
    // SAFETY: a page stays mapped.
    if unsafe { &*page }.process.load(Ordering::Relaxed) != process() {
        // A fork's child: the page is its parent's. It shows one of its own from here on.
        // SAFETY: the threads of the parent are gone, and what the lock guards is not this process's.
        unsafe { WRITER.inherit() };
        begin_anew();
    }
    let page = PAGE.load(Ordering::Relaxed);
    // A handler that interrupted the writer finds it taken.
    let Some(_writer) = WRITER.try_lock() else { return };
    // SAFETY: null, or a page that stays mapped.
    if let Some(head) = unsafe { page.as_ref() } {
        let turn = head.turn.load(Ordering::Relaxed);
        head.turn.store(turn | 1, Ordering::Relaxed);
        // Who reads finds the turn odd, or as it was before any of the text changed.
        fence(Ordering::Release);
        let mut text = Shown { at: page.cast::<u8>().wrapping_add(HEAD), len: 0 };
        head.bytes.store(if show(&mut text, now).is_ok() { text.len as u64 } else { 0 }, Ordering::Relaxed);
        head.turn.store((turn | 1) + 1, Ordering::Release);
    }
}

fn show(out: &mut Shown, now: u64) -> Result {
    out.write_str("{\"process\":")?;
    out.number(process() as usize)?;
    out.write_str(",\"milliseconds\":")?;
    out.number(now as usize)?;
    out.write_str(",\"statistics\":")?;
    ALLOCATOR.stats().write_json(out, Some(ALLOCATOR.classes()))?;
    let figures = out.len;
    let whole = ALLOCATOR.write_parts(out).and_then(|()| out.write_str("}"));
    whole.or_else(|_| {
        // More parts than fit: the figures alone.
        out.len = figures;
        out.write_str("}")
    })
}

/// The text of a page.
struct Shown {
    at: *mut u8,
    len: usize,
}

impl Shown {
    fn number(&mut self, number: usize) -> Result {
        crate::base::print::number(self, number)
    }
}

impl Write for Shown {
    fn write_str(&mut self, text: &str) -> Result {
        let end = self.len + text.len();
        if end > LEN - HEAD {
            return Err(core::fmt::Error);
        }
        // SAFETY: inside of the page, behind its head; the writer's lock is held.
        unsafe { text.as_ptr().copy_to_nonoverlapping(self.at.wrapping_add(self.len), text.len()) };
        self.len = end;
        Ok(())
    }
}
