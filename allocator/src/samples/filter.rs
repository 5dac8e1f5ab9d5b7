//! Whether a page may have a sampled block: counts by the page's number.
//!
//! Blocks of one page share a count, so what a program works with looks at few of them, and they are in its
//! cache. Pages that are 256 MiB apart share one too: then the table of live samples is asked for nothing.
#![forbid(unsafe_code)]

use crate::base::checked::Checked;
use crate::base::config::PROFILE;
use core::sync::atomic::{AtomicU16, Ordering};

const PAGE_SHIFT: u32 = 12;
/// As many as 16 bits of an address tell apart. Miri looks at all of them each time.
const PAGES: usize = if !PROFILE {
    1
} else if cfg!(miri) {
    1 << 6
} else {
    1 << 16
};

pub struct Filter(Checked<AtomicU16, PAGES>);

/// A count that stays: so many blocks came that it may not tell any more.
const MANY: u16 = u16::MAX;

impl Filter {
    pub const fn new() -> Self {
        Filter(Checked([const { AtomicU16::new(0) }; PAGES]))
    }

    #[inline(always)]
    fn count(&self, addr: usize) -> &AtomicU16 {
        &self.0[(addr >> PAGE_SHIFT) % PAGES]
    }

    /// Relaxed: who frees a block was given it by the program, and whatever did that brought the count along.
    #[inline(always)]
    pub fn may_have(&self, addr: usize) -> bool {
        self.count(addr).load(Ordering::Relaxed) != 0
    }

    pub fn add(&self, addr: usize) {
        self.change(addr, |count| count.saturating_add(1));
    }

    pub fn remove(&self, addr: usize) {
        self.change(addr, |count| if count == MANY { MANY } else { count.saturating_sub(1) });
    }

    fn change(&self, addr: usize, to: impl Fn(u16) -> u16) {
        let change = |count| Some(to(count));
        _ = self.count(addr).fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}
