//! Whether a page may have a sampled block: counts by the page's number.
//!
//! The counts are mapped when the first profile starts. Before that there is no sample.
//!
//! Blocks of one page share a count, so what a program works with looks at few of them, and they are in its
//! cache. Pages that are 256 MiB apart share one too: then the table of live samples is asked for nothing.
#![allow(unsafe_code)]

use crate::base::checked::Checked;
use crate::base::why::OF_PROFILE;
use crate::os::Os;
use crate::os::mapped::Mapped;
use core::sync::atomic::{AtomicU16, Ordering};

const PAGE_SHIFT: u32 = 12;
/// As many as 16 bits of an address tell apart. Miri looks at all of them each time.
const PAGES: usize = if cfg!(miri) { 1 << 6 } else { 1 << 16 };

pub struct Filter(Mapped<Checked<AtomicU16, PAGES>>);

/// A count that stays: so many blocks came that it may not tell any more.
const MANY: u16 = u16::MAX;

impl Filter {
    pub const fn new() -> Self {
        Filter(Mapped::nothing())
    }

    /// Makes room for the counts. False where there is no memory for them.
    pub fn make_room<O: Os>(&self, os: &O) -> bool {
        self.0.make(os, 1, OF_PROFILE).is_some()
    }

    /// Gives the room back.
    ///
    /// # Safety
    /// Nobody is here, or comes.
    pub unsafe fn unmap<O: Os>(&self, os: &O) {
        // SAFETY: as the caller vouches.
        unsafe { self.0.unmap(os, 1, OF_PROFILE) };
    }

    #[inline(always)]
    fn count(&self, addr: usize) -> Option<&AtomicU16> {
        Some(&self.0.get()?[(addr >> PAGE_SHIFT) % PAGES])
    }

    /// Relaxed: who frees a block was given it by the program, and whatever did that brought the count along.
    #[inline(always)]
    pub fn may_have(&self, addr: usize) -> bool {
        self.count(addr).is_some_and(|count| count.load(Ordering::Relaxed) != 0)
    }

    /// The same, where a profile was taken once.
    ///
    /// # Safety
    /// `make_room` was true.
    #[inline(always)]
    pub unsafe fn has(&self, addr: usize) -> bool {
        // SAFETY: as the caller vouches.
        let counts = unsafe { &*self.0.first() };
        counts[(addr >> PAGE_SHIFT) % PAGES].load(Ordering::Relaxed) != 0
    }

    pub fn add(&self, addr: usize) {
        self.change(addr, |count| count.saturating_add(1));
    }

    pub fn remove(&self, addr: usize) {
        self.change(addr, |count| if count == MANY { MANY } else { count.saturating_sub(1) });
    }

    fn change(&self, addr: usize, to: impl Fn(u16) -> u16) {
        let change = |count| Some(to(count));
        if let Some(count) = self.count(addr) {
            _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
        }
    }
}
