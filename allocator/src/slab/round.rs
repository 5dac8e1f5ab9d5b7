//! A round through a heap's fresh slabs, in which what is free in them by whole pages is purged: its state,
//! and the slabs that are away.
//!
//! ```text
//!   lock │ fresh slabs → away, a batch of them │ open │ purge │ lock │ back, and the next │ open │ …
//! ```
//!
//! A purge may wait long for the kernel, so it runs with the heap's lock open. No block is taken from a slab
//! that is away, so what is free in it stays so; blocks come back to it as to any other. One thread at a time
//! makes a round through a heap: in the child of a fork, the slabs of a round whose thread is not there are
//! taken back.
#![allow(unsafe_code)]

use super::pages::Pages;
use super::site::Site;
use crate::base::config::PURGE_BATCH;
use crate::base::units::{Bytes, GranuleIdx};
use crate::base::why::Reason;
use crate::os::Os;
use crate::sync::token::token;
use core::ops::Range;

/// What a heap knows of the rounds through its slabs.
pub struct Rounds {
    /// The present or the last one; of records, 0 is in none.
    pub number: u16,
    /// The thread that makes one, or 0.
    by: usize,
}

/// A slab that is away: its pages to purge, and what of it was used when they were looked for.
#[derive(Clone, Copy)]
pub struct Away {
    pub granule: GranuleIdx,
    pub pages: Pages,
    pub used: u16,
    pub purged: bool,
}

/// The slabs that are away, in the order of their addresses, so that pages of neighbours go by one call.
pub struct Batch {
    /// The class whose slabs are looked at.
    pub class: u8,
    len: usize,
    slabs: [Away; PURGE_BATCH],
}

impl Rounds {
    pub const fn new() -> Rounds {
        Rounds { number: 0, by: 0 }
    }

    /// Starts one. False where another thread is making one.
    pub fn start(&mut self) -> bool {
        if self.by != 0 {
            return false;
        }
        *self = Rounds { number: self.number.wrapping_add(1).max(1), by: token() };
        true
    }

    pub fn end(&mut self) {
        self.by = 0;
    }

    /// The thread that makes one, or 0.
    #[inline]
    pub fn by(&self) -> usize {
        self.by
    }
}

impl Batch {
    pub fn new() -> Batch {
        let none = Away { granule: GranuleIdx(0), pages: Pages::NONE, used: 0, purged: false };
        Batch { class: 0, len: 0, slabs: [none; PURGE_BATCH] }
    }

    pub fn slabs(&mut self) -> &mut [Away] {
        self.slabs.get_mut(..self.len).unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn clear(&mut self) {
        self.len = 0;
    }

    pub fn is_full(&self) -> bool {
        self.len == PURGE_BATCH
    }

    pub fn insert(&mut self, slab: Away) {
        let mut carried = slab;
        for place in self.slabs() {
            if place.granule.0 > carried.granule.0 {
                core::mem::swap(place, &mut carried);
            }
        }
        self.len += 1;
        if let Some(last) = self.slabs().last_mut() {
            *last = carried;
        }
    }

    /// Gives the pages back, with no lock held. Those that went.
    pub fn purge<O: Os>(&mut self, site: &Site<O>) -> Bytes {
        let page = site.page();
        let (mut went, mut waiting): (usize, Option<Stretch>) = (0, None);
        for at in 0..self.len {
            let Some(&Away { granule, pages, .. }) = self.slabs.get(at) else { break };
            let from = site.geometry.start(granule);
            for Range { start, end } in pages.ranges(page) {
                let (first, len) = (from.wrapping_add(start), end - start);
                match &mut waiting {
                    Some(before) if before.start.wrapping_add(before.len) == first => {
                        before.len += len;
                        before.slabs.end = at + 1;
                    }
                    _ => {
                        went += self.purge_stretch(site, waiting.take());
                        waiting = Some(Stretch { start: first, len, slabs: at..at + 1 });
                    }
                }
            }
        }
        Bytes(went + self.purge_stretch(site, waiting))
    }

    fn purge_stretch<O: Os>(&mut self, site: &Site<O>, stretch: Option<Stretch>) -> usize {
        let Some(Stretch { start, len, slabs }) = stretch else { return 0 };
        // SAFETY: pages of slabs that are away, which hold nothing but free blocks: nobody is handed one.
        let done =
            unsafe { site.arena.os.purge(start, len, Reason::Purge.by(site.entry_of(start).why().cause)) };
        self.slabs.get_mut(slabs).unwrap_or_default().iter_mut().for_each(|slab| slab.purged &= done);
        if done { len } else { 0 }
    }
}

/// Pages side by side, and the places in the batch of the slabs they are of.
struct Stretch {
    start: *mut u8,
    len: usize,
    slabs: Range<usize>,
}
