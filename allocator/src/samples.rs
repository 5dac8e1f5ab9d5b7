//! What a heap profile knows: the sampled blocks that are live, and where samples were taken.
//!
//! ```text
//!   filter   is there a sample in this page? ── one look for each free while a profile is taken
//!   live     a sampled block's address ─► its site, and the bytes that were asked for
//!   sites    return addresses and a block's bytes ─► how many were sampled, how many of those were freed
//! ```
//!
//! Nothing here is in a block, and all of it is mapped when a profile starts: a process that never takes one
//! has no addresses of it. Nothing takes a lock: all of it only grows, each list by one compare-exchange at
//! its head, so a signal handler or a fork may come between any two stores. What stands half made then is
//! never seen.
//!
//! A sample is one block in `weight(bytes, rate)` of its length. Counts are kept; who writes a profile weighs
//! them.
#![allow(unsafe_code)]

mod filter;
mod live;
mod peak;
mod sites;
mod store;

use crate::base::config::SAMPLE_RATE;
use crate::base::random::{Random, weight};
use crate::os::Os;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use filter::Filter;
use live::Live;
pub use live::Sampled;
use peak::Peak;
use sites::Sites;
pub use sites::{Counts, Site};

/// All zeros at first.
pub struct Samples {
    /// Which profile is taken, or was last: it is odd while one is.
    session: AtomicU32,
    /// Bytes between two samples in the mean; 0 before the first profile.
    rate: AtomicUsize,
    /// When the profile began, in microseconds.
    began: AtomicU64,
    random: Random,
    filter: Filter,
    live: Live,
    sites: Sites,
    peak: Peak,
    /// Samples for which there was no memory.
    lost: AtomicU64,
}

impl Samples {
    pub const fn new() -> Self {
        Samples {
            session: AtomicU32::new(0),
            rate: AtomicUsize::new(0),
            began: AtomicU64::new(0),
            random: Random::new(),
            filter: Filter::new(),
            live: Live::new(),
            sites: Sites::new(),
            peak: Peak::new(),
            lost: AtomicU64::new(0),
        }
    }

    /// Which profile is taken. Another number than before: what was set up for the former is to be left.
    #[inline(always)]
    pub fn session(&self) -> u32 {
        // Relaxed: who acts on it a moment late takes a moment less of the profile.
        self.session.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub fn is_on(&self) -> bool {
        is_on(self.session())
    }

    /// Bytes between two samples in the mean.
    pub fn rate(&self) -> usize {
        match self.rate.load(Ordering::Relaxed) {
            0 => SAMPLE_RATE,
            rate => rate,
        }
    }

    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Begins a profile, at `now` in microseconds, and forgets the one before. The caller sees to it that
    /// nobody else starts or stops one meanwhile. False where there is no memory for it.
    pub fn start<O: Os>(&self, os: &O, rate: usize, seed: u64, now: u64) -> bool {
        if !(self.filter.make_room(os) && self.live.make_room(os) && self.sites.make_room(os)) {
            return false;
        }
        self.stop();
        self.live.forget_all(|block| self.filter.remove(block));
        self.sites.reset();
        self.peak.reset();
        self.lost.store(0, Ordering::Relaxed);
        self.rate.store(rate.max(1), Ordering::Relaxed);
        self.began.store(now, Ordering::Relaxed);
        self.random.seed(seed);
        // SeqCst: before the looks for threads that go the fast way still.
        self.session.fetch_add(1, Ordering::SeqCst);
        true
    }

    /// Gives all memory back, for a library that is unloaded.
    ///
    /// # Safety
    /// No thread is inside of the allocator, or enters it from here on.
    pub unsafe fn unload<O: Os>(&self, os: &O) {
        // SAFETY: as the caller vouches, for all three.
        unsafe {
            self.filter.unmap(os);
            self.live.unmap(os);
            self.sites.unmap(os);
        }
    }

    /// Ends it. What it knows stays.
    pub fn stop(&self) {
        if self.is_on() {
            self.session.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether a block may be a sampled one.
    #[inline(always)]
    pub fn may_have(&self, block: *mut u8) -> bool {
        self.filter.may_have(block.addr())
    }

    /// The same, for less.
    ///
    /// # Safety
    /// `start` was true once.
    #[inline(always)]
    pub unsafe fn may_have_one(&self, block: *mut u8) -> bool {
        // SAFETY: as the caller vouches: `start` makes room first.
        unsafe { self.filter.has(block.addr()) }
    }

    /// How many blocks of so many bytes come before the next sample.
    pub fn distance(&self, bytes: usize) -> u32 {
        let blocks = self.random.distance(self.rate() as f64) / bytes.max(1) as f64;
        // The sample is in the block that the distance ends in. `as` is the largest number at most.
        blocks as u32
    }

    /// Whether a block of so many bytes is a sample.
    pub fn takes(&self, bytes: usize) -> bool {
        self.random.distance(self.rate() as f64) < bytes as f64
    }

    /// Notes a sampled block.
    pub fn note<O: Os>(&self, os: &O, block: *mut u8, sample: &Sample) {
        let Some((at, site)) = self.sites.of(os, sample.stack, sample.bytes) else { return self.lose() };
        let sampled = Sampled { site: at, asked: sample.asked, born: sample.now };
        self.filter.add(block.addr());
        if !self.live.insert(os, block.addr(), sampled) {
            self.filter.remove(block.addr());
            return self.lose();
        }
        self.peak.before(site, |site| site.note_alloc(sample.asked));
        self.peak.rise(self.weighed(sample.bytes), sample.now);
    }

    /// Takes a sampled block out, if it is one.
    #[inline]
    pub fn lift(&self, block: *mut u8) -> Option<Sampled> {
        if !self.may_have(block) {
            return None;
        }
        let sampled = self.live.remove(block.addr())?;
        self.filter.remove(block.addr());
        Some(sampled)
    }

    /// Puts one back in.
    pub fn put_back<O: Os>(&self, os: &O, block: *mut u8, sampled: Sampled) {
        self.filter.add(block.addr());
        if !self.live.insert(os, block.addr(), sampled) {
            self.filter.remove(block.addr());
            self.lose();
        }
    }

    /// Counts one that was taken out as freed, at `now` in microseconds.
    pub fn count_free(&self, Sampled { site, asked, born }: Sampled, now: u64) {
        if let Some(site) = self.sites.get(site) {
            self.peak.fall(self.weighed(site.bytes()));
            self.peak.before(site, |site| site.note_free(asked, now.saturating_sub(born)));
        }
    }

    /// Calls `f` with every site, what was counted there, and what of that was live at the peak.
    pub fn for_each_site(&self, mut f: impl FnMut(&Site, Counts, Counts)) {
        self.sites.for_each(|site| f(site, site.counts(), self.peak.counts(site)));
    }

    /// No fewer addresses than all stacks have.
    pub fn addresses(&self) -> usize {
        self.sites.addresses()
    }

    /// Calls `f` with a site of each stack, and all sites of that stack.
    pub fn for_each_stack(&self, f: impl FnMut(&Site, &mut dyn Iterator<Item = &Site>)) {
        self.sites.for_each_stack(f);
    }

    /// When the profile began, and microseconds from then to the peak.
    pub fn began(&self) -> u64 {
        self.began.load(Ordering::Relaxed)
    }

    pub fn peak_at(&self) -> u64 {
        self.peak.at().saturating_sub(self.began())
    }

    /// What of a site was live at the peak.
    pub fn peak_of(&self, site: &Site) -> Counts {
        self.peak.counts(site)
    }

    /// The return addresses of a site, the innermost first.
    pub fn stack_of(&self, site: &Site) -> impl Iterator<Item = usize> {
        self.sites.stack_of(site)
    }

    fn weighed(&self, bytes: usize) -> u64 {
        (weight(bytes, self.rate()) * bytes as f64) as u64
    }

    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether a profile is taken in a session.
#[inline(always)]
pub fn is_on(session: u32) -> bool {
    session & 1 != 0
}

/// What is noted of a sampled block.
pub struct Sample<'a> {
    /// Return addresses, the innermost first.
    pub stack: &'a [usize],
    /// Bytes of the block, and those that were asked for.
    pub bytes: usize,
    pub asked: usize,
    /// Microseconds, of a clock that does not go back.
    pub now: u64,
}
