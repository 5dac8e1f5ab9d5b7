//! A round through a heap's slabs, under its lock: which of them go away, and what becomes of them after it.
#![allow(unsafe_code)]

use super::Slabs;
use crate::base::config::PURGE_LOOKS;
use crate::base::size_class::CLASSES;
use crate::base::units::{GranuleIdx, SizeClass};
use crate::os::Os;
use crate::slab::pages::Pages;
use crate::slab::record::Place;
use crate::slab::round::{Away, Batch};
use crate::slab::site::Site;

impl Slabs {
    /// Starts a round. False where another thread is making one.
    pub fn start_round(&mut self) -> bool {
        self.rounds.start()
    }

    /// Puts a batch back, and takes the next one out, which may be empty. False where the round is over.
    pub fn next_batch<O: Os>(&mut self, site: &Site<O>, batch: &mut Batch) -> bool {
        batch.slabs().iter().for_each(|away| self.put_back(site, away));
        batch.clear();
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
        if batch.is_empty() {
            self.rounds.end();
            self.slack.purged(self.dirty_bytes(), self.used_bytes);
        }
        !batch.is_empty()
    }

    /// Looks at a fresh slab of a class. It is seen then, or away where it has pages to purge.
    fn look<O: Os>(&mut self, site: &Site<O>, class: SizeClass, granule: GranuleIdx) -> Option<Away> {
        self.lists.remove(site, granule);
        // SAFETY: a slab of this heap, lock held (I10).
        let (slab, bits) = unsafe { site.parts(granule, class) };
        slab.round = self.rounds.number;
        let page = site.page();
        let clean = slab.clean.or(slab.never_used(page));
        let (used, pages) = (slab.used, slab.free_pages(bits, page).without(clean));
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
            self.count_clean(site, away.pages.bytes(site.page()) as isize);
        }
        let (used, changed) = (slab.used, slab.used != away.used);
        let place = if away.purged && !changed { Place::Seen } else { Place::Fresh };
        self.lists.append(site, away.granule, place);
        if used == 0 {
            self.on_empty(site, away.granule);
        }
    }

    /// The thread that makes a round, or 0.
    #[inline]
    pub fn round_by(&self) -> usize {
        self.rounds.by()
    }

    /// Ends a round whose thread is not there, in the child of a fork. What became of its pages is not known.
    pub fn end_lost_round<O: Os>(&mut self, site: &Site<O>) {
        self.rounds.end();
        while let Some(granule) = self.lists.first_away() {
            // SAFETY: a slab of this heap, lock held (I10).
            let used = unsafe { site.slab(granule) }.used;
            self.put_back(site, &Away { granule, pages: Pages::NONE, used, purged: false });
        }
    }
}
