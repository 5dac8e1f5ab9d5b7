//! A round through a heap's fresh slabs: what is free in them by whole pages is purged.
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

use super::lists::Place;
use super::pages::{self, Pages};
use super::site::Site;
use super::slabs::Slabs;
use crate::base::config::{PURGE_BATCH, PURGE_LOOKS};
use crate::base::size_class::CLASSES;
use crate::base::units::{GranuleIdx, SizeClass};
use crate::os::Os;
use crate::sync::token::token;
use core::ops::Range;

/// What a heap knows of the rounds through its slabs.
pub struct Rounds {
    /// The present or the last one; of records, 0 is in none.
    number: u16,
    /// The thread that makes one, or 0.
    by: usize,
}

/// A slab that is away: its pages to purge, and what of it was used when they were looked for.
#[derive(Clone, Copy)]
struct Away {
    granule: GranuleIdx,
    pages: Pages,
    used: u16,
    purged: bool,
}

/// The slabs that are away, in the order of their addresses, so that pages of neighbours go by one call.
pub struct Batch {
    class: u8,
    len: usize,
    slabs: [Away; PURGE_BATCH],
}

impl Rounds {
    pub const fn new() -> Rounds {
        Rounds { number: 0, by: 0 }
    }
}

impl Batch {
    pub fn new() -> Batch {
        let none = Away { granule: GranuleIdx(0), pages: Pages::NONE, used: 0, purged: false };
        Batch { class: 0, len: 0, slabs: [none; PURGE_BATCH] }
    }

    fn slabs(&mut self) -> &mut [Away] {
        self.slabs.get_mut(..self.len).unwrap_or_default()
    }

    fn is_full(&self) -> bool {
        self.len == PURGE_BATCH
    }

    fn insert(&mut self, slab: Away) {
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

    /// Gives the pages back, with no lock held. Whether any went.
    pub fn purge<O: Os>(&mut self, site: &Site<O>) -> bool {
        let page = site.page();
        let (mut any, mut waiting): (bool, Option<Stretch>) = (false, None);
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
                        any |= self.purge_stretch(site, waiting.take());
                        waiting = Some(Stretch { start: first, len, slabs: at..at + 1 });
                    }
                }
            }
        }
        self.purge_stretch(site, waiting) | any
    }

    fn purge_stretch<O: Os>(&mut self, site: &Site<O>, stretch: Option<Stretch>) -> bool {
        let Some(Stretch { start, len, slabs }) = stretch else { return false };
        // SAFETY: pages of slabs that are away, which hold nothing but free blocks: nobody is handed one.
        let done = unsafe { site.arena.os.purge(start, len) };
        self.slabs.get_mut(slabs).unwrap_or_default().iter_mut().for_each(|slab| slab.purged &= done);
        done
    }
}

/// Pages side by side, and the places in the batch of the slabs they are of.
struct Stretch {
    start: *mut u8,
    len: usize,
    slabs: Range<usize>,
}

impl Slabs {
    /// Starts a round. False where another thread is making one.
    pub fn start_round(&mut self) -> bool {
        if self.rounds.by != 0 {
            return false;
        }
        self.rounds = Rounds { number: self.rounds.number.wrapping_add(1).max(1), by: token() };
        true
    }

    /// Puts a batch back, and takes the next one out, which may be empty. False where the round is over.
    pub fn next_batch<O: Os>(&mut self, site: &Site<O>, batch: &mut Batch) -> bool {
        batch.slabs().iter().for_each(|away| self.put_back(site, away));
        batch.len = 0;
        let mut looks = 0;
        while (batch.class as usize) < CLASSES {
            let class = SizeClass(batch.class);
            let next = self.lists.first_fresh(class);
            // SAFETY: a listed slab of this heap, and `&mut self` is its lock held; one record at a time.
            let next = next.filter(|&next| unsafe { site.slab(next) }.round != self.rounds.number);
            let Some(granule) = next else {
                batch.class += 1;
                continue;
            };
            if batch.is_full() || looks == PURGE_LOOKS {
                return true;
            }
            looks += 1;
            if let Some(slab) = self.look(site, class, granule) {
                batch.insert(slab);
            }
        }
        if batch.len == 0 {
            self.rounds.by = 0;
            self.slack.purged(self.dirty_bytes(), self.used_bytes);
        }
        batch.len > 0
    }

    /// Looks at a fresh slab of a class. It is seen then, or away where it has pages to purge.
    fn look<O: Os>(&mut self, site: &Site<O>, class: SizeClass, granule: GranuleIdx) -> Option<Away> {
        self.lists.remove(site, granule);
        // SAFETY: a slab of this heap, lock held (I10).
        let (slab, bits) = unsafe { site.parts(granule, class) };
        slab.round = self.rounds.number;
        let page = site.page();
        let clean = slab.clean.or(pages::never_used(slab, page));
        let (used, pages) = (slab.used, pages::free(slab, bits, page).without(clean));
        let place = match pages.is_empty() {
            // It is all free, and kept for the next block.
            _ if used == 0 => Place::Fresh,
            true => Place::Seen,
            false => Place::Away,
        };
        self.lists.append(site, granule, place);
        (place == Place::Away).then_some(Away { granule, pages, used, purged: true })
    }

    /// Puts a slab back whose pages were purged, or were not to be.
    fn put_back<O: Os>(&mut self, site: &Site<O>, away: &Away) {
        // SAFETY: a slab of this heap, lock held (I10); the reference ends here.
        if unsafe { site.slab(away.granule) }.place != Place::Away {
            // Made anew in the child of a fork, which a signal handler made inside of this round.
            return;
        }
        self.lists.remove(site, away.granule);
        // SAFETY: a slab of this heap, lock held; the reference above has ended (I10).
        let slab = unsafe { site.slab(away.granule) };
        if away.purged {
            slab.clean = slab.clean.or(away.pages);
            self.clean += away.pages.bytes(site.page());
        }
        let (used, changed) = (slab.used, slab.used != away.used);
        let place = if away.purged && !changed { Place::Seen } else { Place::Fresh };
        self.lists.append(site, away.granule, place);
        if used == 0 {
            self.on_empty(site, away.granule);
        }
    }

    /// In the child of a fork: whether the thread is not there that was making a round. This thread's own
    /// goes on, where a signal handler inside of it made the fork.
    pub fn has_lost_round(&self) -> bool {
        self.rounds.by != 0 && self.rounds.by != token()
    }

    /// Ends such a round. What became of its pages is not known.
    pub fn end_lost_round<O: Os>(&mut self, site: &Site<O>) {
        self.rounds.by = 0;
        while let Some(granule) = self.lists.first_away() {
            // SAFETY: a slab of this heap, lock held (I10).
            let used = unsafe { site.slab(granule) }.used;
            self.put_back(site, &Away { granule, pages: Pages::NONE, used, purged: false });
        }
    }
}
