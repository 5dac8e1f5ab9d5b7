//! Sites: where samples were taken, and of which length. As Go's heap profile has them: one for each stack
//! and each length of a block, since a sample's weight depends on its length.
//!
//! Edge SITE: a site and its addresses written, then its list's head (Release) → its list read (Acquire).
#![allow(unsafe_code)]

use super::store::Store;
use crate::base::checked::Checked;
use crate::base::why::OF_PROFILE;
use crate::os::Os;
use crate::os::mapped::{Mapped, Zeroed};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

const HEADS: usize = if cfg!(miri) { 1 << 4 } else { 1 << 12 };

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Blocks that were sampled, and those of them that were freed.
    pub allocated: u64,
    pub freed: u64,
    /// Bytes that were asked for, of the same.
    pub asked: u64,
    pub asked_freed: u64,
    /// Microseconds that the freed ones lived, together.
    pub lived: u64,
    /// The most that were live at once.
    pub most: u64,
}

impl Counts {
    pub fn live(&self) -> u64 {
        self.allocated.saturating_sub(self.freed)
    }

    pub fn asked_live(&self) -> u64 {
        self.asked.saturating_sub(self.asked_freed)
    }
}

pub struct Site {
    /// Index plus one of the next in the list, or 0.
    next: AtomicU32,
    /// Its return addresses: the first one's index, and how many.
    first: AtomicU32,
    depth: AtomicU32,
    /// The peak that `at_peak` is of.
    pub(super) peak: AtomicU32,
    bytes: AtomicUsize,
    hash: AtomicU64,
    allocated: AtomicU64,
    freed: AtomicU64,
    asked: AtomicU64,
    asked_freed: AtomicU64,
    lived: AtomicU64,
    most: AtomicU64,
    /// Blocks that were live, and bytes asked for them.
    pub(super) at_peak: [AtomicU64; 2],
}

// SAFETY: all of its fields are atomics, of which zeros are values.
unsafe impl Zeroed for Site {}

// Relaxed, for all counts: each stands alone, and who writes a profile takes them as they come.
impl Site {
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn note_alloc(&self, asked: usize) {
        self.allocated.fetch_add(1, Ordering::Relaxed);
        self.asked.fetch_add(asked as u64, Ordering::Relaxed);
        let live = self.counts().live();
        self.most.fetch_max(live, Ordering::Relaxed);
    }

    pub fn note_free(&self, asked: usize, lived: u64) {
        self.freed.fetch_add(1, Ordering::Relaxed);
        self.asked_freed.fetch_add(asked as u64, Ordering::Relaxed);
        self.lived.fetch_add(lived, Ordering::Relaxed);
    }

    pub fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            // What was freed first: less than what was allocated then.
            freed: read(&self.freed),
            allocated: read(&self.allocated),
            asked_freed: read(&self.asked_freed),
            asked: read(&self.asked),
            lived: read(&self.lived),
            most: read(&self.most),
        }
    }

    fn reset(&self) {
        let counts = [&self.allocated, &self.freed, &self.asked, &self.asked_freed, &self.lived, &self.most];
        counts.into_iter().chain(&self.at_peak).for_each(|count| count.store(0, Ordering::Relaxed));
        self.peak.store(0, Ordering::Relaxed);
    }
}

pub struct Sites {
    /// Index plus one of the newest site, or 0. Mapped when the first profile starts.
    heads: Mapped<Checked<AtomicU32, HEADS>>,
    sites: Store<Site>,
    addresses: Store<AtomicUsize>,
}

/// Of the stack alone: sites that differ in the length are in one list.
fn hash(stack: &[usize]) -> u64 {
    let mix =
        |hash: u64, word: &usize| (hash.rotate_left(5) ^ *word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    stack.iter().fold(stack.len() as u64, mix)
}

impl Sites {
    pub const fn new() -> Self {
        Sites { heads: Mapped::nothing(), sites: Store::new(), addresses: Store::new() }
    }

    /// Makes room for the lists. False where there is no memory for them.
    pub fn make_room<O: Os>(&self, os: &O) -> bool {
        self.heads.make(os, 1, OF_PROFILE).is_some()
    }

    /// Gives everything back.
    ///
    /// # Safety
    /// Nobody is here, or comes.
    pub unsafe fn unmap<O: Os>(&self, os: &O) {
        // SAFETY: as the caller vouches, for all three.
        unsafe {
            self.heads.unmap(os, 1, OF_PROFILE);
            self.sites.unmap(os);
            self.addresses.unmap(os);
        }
    }

    fn heads(&self) -> impl Iterator<Item = &AtomicU32> {
        self.heads.get().into_iter().flat_map(|heads| &heads.0)
    }

    pub fn get(&self, index: u32) -> Option<&Site> {
        self.sites.get(index)
    }

    /// The site of a stack and a length, and its index. None where there is no memory for a new one.
    pub fn of<O: Os>(&self, os: &O, stack: &[usize], bytes: usize) -> Option<(u32, &Site)> {
        let hash = hash(stack);
        // The upper bits of a product depend on all of its factors'.
        let head = &self.heads.get()?[(hash >> 40) as usize % HEADS];
        // SITE (Acquire).
        let first = head.load(Ordering::Acquire);
        if let Some(found) = self.find(first, 0, hash, stack, bytes) {
            return Some(found);
        }
        let index = self.make(os, hash, stack, bytes)?;
        let site = self.sites.get(index)?;
        let mut before = first;
        loop {
            site.next.store(before, Ordering::Relaxed);
            // SITE (Release, Acquire).
            match head.compare_exchange(before, index + 1, Ordering::Release, Ordering::Acquire) {
                Ok(_) => return Some((index, site)),
                Err(newer) => {
                    // Another thread may have come to the same place. The one made here stays unused then.
                    if let Some(found) = self.find(newer, before, hash, stack, bytes) {
                        return Some(found);
                    }
                    before = newer;
                }
            }
        }
    }

    fn find(&self, from: u32, end: u32, hash: u64, stack: &[usize], bytes: usize) -> Option<(u32, &Site)> {
        let mut link = from;
        while link != end {
            let index = link.checked_sub(1)?;
            let site = self.sites.get(index)?;
            let same = site.hash.load(Ordering::Relaxed) == hash
                && site.bytes() == bytes
                && self.stack_of(site).eq(stack.iter().copied());
            if same {
                return Some((index, site));
            }
            link = site.next.load(Ordering::Relaxed);
        }
        None
    }

    fn make<O: Os>(&self, os: &O, hash: u64, stack: &[usize], bytes: usize) -> Option<u32> {
        let first = self.addresses.grow(os, stack.len().max(1) as u32)?;
        for (at, &address) in (first..).zip(stack) {
            self.addresses.get(at)?.store(address, Ordering::Relaxed);
        }
        let index = self.sites.grow(os, 1)?;
        let site = self.sites.get(index)?;
        site.first.store(first, Ordering::Relaxed);
        site.depth.store(stack.len() as u32, Ordering::Relaxed);
        site.bytes.store(bytes, Ordering::Relaxed);
        site.hash.store(hash, Ordering::Relaxed);
        Some(index)
    }

    /// The return addresses of a site, the innermost first.
    pub fn stack_of(&self, site: &Site) -> impl Iterator<Item = usize> {
        let first = site.first.load(Ordering::Relaxed);
        let addresses = (first..).take(site.depth.load(Ordering::Relaxed) as usize);
        addresses.filter_map(|at| Some(self.addresses.get(at)?.load(Ordering::Relaxed)))
    }

    /// Calls `f` with every site that is in a list.
    pub fn for_each(&self, mut f: impl FnMut(&Site)) {
        for head in self.heads() {
            // SITE (Acquire).
            self.behind(head.load(Ordering::Acquire)).for_each(&mut f);
        }
    }

    /// The site of a link, and those behind it.
    fn behind(&self, link: u32) -> impl Iterator<Item = &Site> {
        let get = |link: u32| self.sites.get(link.checked_sub(1)?);
        core::iter::successors(get(link), move |site| get(site.next.load(Ordering::Relaxed)))
    }

    /// Calls `f` with every site whose stack none before it had, and the sites of that stack: itself, and
    /// those behind it.
    pub fn for_each_stack(&self, mut f: impl FnMut(&Site, &mut dyn Iterator<Item = &Site>)) {
        for head in self.heads() {
            // SITE (Acquire).
            let first = head.load(Ordering::Acquire);
            for (at, site) in self.behind(first).enumerate() {
                if !self.behind(first).take(at).any(|other| self.same_stack(site, other)) {
                    f(site, &mut self.behind(first).skip(at).filter(|other| self.same_stack(site, other)));
                }
            }
        }
    }

    fn same_stack(&self, one: &Site, other: &Site) -> bool {
        let hash = |site: &Site| site.hash.load(Ordering::Relaxed);
        hash(one) == hash(other) && self.stack_of(one).eq(self.stack_of(other))
    }

    /// No fewer addresses than the sites have.
    pub fn addresses(&self) -> usize {
        self.addresses.count() as usize
    }

    pub fn reset(&self) {
        if self.sites.count() > 0 {
            self.for_each(Site::reset);
        }
    }
}
