//! The peak: what was live when most was.
//!
//! Nobody copies all sites each time that more is live than ever. Peaks are numbered: the first free behind
//! one begins the next number. A site keeps what it had at the last peak when it first changes behind it; one
//! that did not change since has it still.
//!
//! Threads that sample at the same moment may put one sample on either side of a peak.
#![forbid(unsafe_code)]

use super::sites::{Counts, Site};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Relaxed everywhere: see the module's head.
pub struct Peak {
    /// Bytes that are live by the samples, and the most there were.
    live: AtomicU64,
    most: AtomicU64,
    /// Peaks that are over.
    number: AtomicU32,
    /// When that was, in microseconds.
    at: AtomicU64,
    /// Nothing was freed since more was live than ever.
    rising: AtomicBool,
}

impl Peak {
    pub const fn new() -> Self {
        Peak {
            live: AtomicU64::new(0),
            most: AtomicU64::new(0),
            at: AtomicU64::new(0),
            number: AtomicU32::new(0),
            rising: AtomicBool::new(false),
        }
    }

    pub fn reset(&self) {
        self.live.store(0, Ordering::Relaxed);
        self.most.store(0, Ordering::Relaxed);
        self.number.store(0, Ordering::Relaxed);
        self.rising.store(false, Ordering::Relaxed);
    }

    /// When it was.
    pub fn at(&self) -> u64 {
        self.at.load(Ordering::Relaxed)
    }

    /// So many bytes more are live, at `now` in microseconds.
    pub fn rise(&self, bytes: u64, now: u64) {
        let live = self.live.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if live > self.most.load(Ordering::Relaxed) {
            self.most.store(live, Ordering::Relaxed);
            self.at.store(now, Ordering::Relaxed);
            self.rising.store(true, Ordering::Relaxed);
        }
    }

    /// So many bytes are about to go.
    pub fn fall(&self, bytes: u64) {
        if self.rising.swap(false, Ordering::Relaxed) {
            self.number.fetch_add(1, Ordering::Relaxed);
        }
        _ = self
            .live
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |live| Some(live.saturating_sub(bytes)));
    }

    /// Changes a site, which first keeps what it had at the last peak.
    pub fn before(&self, site: &Site, change: impl FnOnce(&Site)) {
        let number = self.number.load(Ordering::Relaxed);
        if site.peak.load(Ordering::Relaxed) != number {
            let counts = site.counts();
            let [blocks, asked] = &site.at_peak;
            blocks.store(counts.live(), Ordering::Relaxed);
            asked.store(counts.asked_live(), Ordering::Relaxed);
            site.peak.store(number, Ordering::Relaxed);
        }
        change(site);
    }

    /// What was live of a site at the peak.
    pub fn counts(&self, site: &Site) -> Counts {
        let counts = site.counts();
        let changed = site.peak.load(Ordering::Relaxed) == self.number.load(Ordering::Relaxed);
        if self.rising.load(Ordering::Relaxed) || !changed {
            return Counts { allocated: counts.live(), asked: counts.asked_live(), ..Counts::default() };
        }
        let [blocks, asked] = site.at_peak.each_ref().map(|count| count.load(Ordering::Relaxed));
        Counts { allocated: blocks, asked, ..Counts::default() }
    }
}
