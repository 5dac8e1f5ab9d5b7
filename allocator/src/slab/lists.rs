//! Where a heap's slabs are, that are not full: three kinds of list, linked through their records.
//!
//! ```text
//!   class   fresh: first ⇄ … ⇄ last    refill takes from the first, frees append at the last: a slab has as
//!                                      long as can be to fill up again
//!           seen:  first ⇄ …           no block came back since their free pages were purged: taken from
//!                                      where nothing is fresh, because their pages have to be faulted in
//!   heap    away:  first ⇄ …           their free pages are being purged, with no lock held: nothing is
//!                                      taken from them, blocks come back
//! ```
#![allow(unsafe_code)]

use super::record::Place;
use super::site::Site;
use crate::base::checked::Checked;
use crate::base::size_class::CLASSES;
use crate::base::units::{GranuleIdx, SizeClass};
use crate::os::Os;

/// The ends of a list: granule index plus one, or 0.
#[derive(Clone, Copy)]
struct Ends {
    first: u32,
    last: u32,
}

impl Ends {
    const NONE: Ends = Ends { first: 0, last: 0 };
}

pub struct Lists {
    fresh: Checked<Ends, CLASSES>,
    seen: Checked<Ends, CLASSES>,
    away: Ends,
}

impl Lists {
    pub const fn new() -> Lists {
        Lists {
            fresh: Checked([Ends::NONE; CLASSES]),
            seen: Checked([Ends::NONE; CLASSES]),
            away: Ends::NONE,
        }
    }

    /// The slab of a class that the next blocks are to come from.
    #[inline]
    pub fn first(&self, class: SizeClass) -> Option<GranuleIdx> {
        let at = class.0 as usize;
        let first = self.fresh[at].first.checked_sub(1).or_else(|| self.seen[at].first.checked_sub(1));
        first.map(GranuleIdx)
    }

    /// The slab of a class whose pages were not looked at for the longest time since a block came back.
    pub fn first_fresh(&self, class: SizeClass) -> Option<GranuleIdx> {
        self.fresh[class.0 as usize].first.checked_sub(1).map(GranuleIdx)
    }

    /// The first slabs of a class in its lists, but for those whose pages are being purged.
    pub fn firsts(&self, class: SizeClass) -> [Option<GranuleIdx>; 2] {
        let firsts = [&self.seen, &self.fresh].map(|lists| lists[class.0 as usize].first);
        firsts.map(|first| first.checked_sub(1).map(GranuleIdx))
    }

    pub fn first_away(&self) -> Option<GranuleIdx> {
        self.away.first.checked_sub(1).map(GranuleIdx)
    }

    /// The ends of the list at a place.
    fn ends(&mut self, place: Place, class: SizeClass) -> &mut Ends {
        match place {
            Place::Seen => &mut self.seen[class.0 as usize],
            Place::None | Place::Fresh => &mut self.fresh[class.0 as usize],
            Place::Away => &mut self.away,
        }
    }

    /// Puts a slab that is in no list at the end of one.
    // Rare, and out of line so that the loop of `release` has its registers for itself; `remove` too.
    #[inline(never)]
    pub fn append<O: Os>(&mut self, site: &Site<O>, granule: GranuleIdx, place: Place) {
        // SAFETY: a slab of this heap, lock held (I10); no other reference is alive.
        let slab = unsafe { site.slab(granule) };
        let ends = self.ends(place, slab.class);
        let last = core::mem::replace(&mut ends.last, granule.0 + 1);
        if last == 0 {
            ends.first = granule.0 + 1;
        }
        (slab.prev, slab.next, slab.place) = (last, 0, place);
        if let Some(before) = last.checked_sub(1) {
            // SAFETY: a listed slab of this heap, lock held: another record.
            unsafe { site.slab(GranuleIdx(before)) }.next = granule.0 + 1;
        }
    }

    /// Takes a slab out of the list it is in.
    #[inline(never)]
    pub fn remove<O: Os>(&mut self, site: &Site<O>, granule: GranuleIdx) {
        // SAFETY: a slab of this heap, lock held (I10); its neighbours are other records.
        let slab = unsafe { site.slab(granule) };
        let (place, prev, next) = (slab.place, slab.prev, slab.next);
        (slab.prev, slab.next, slab.place) = (0, 0, Place::None);
        if place == Place::None {
            return;
        }
        let ends = self.ends(place, slab.class);
        match prev.checked_sub(1) {
            // SAFETY: another record of this heap (I10).
            Some(prev) => unsafe { site.slab(GranuleIdx(prev)) }.next = next,
            None => ends.first = next,
        }
        match next.checked_sub(1) {
            // SAFETY: another record of this heap (I10).
            Some(next) => unsafe { site.slab(GranuleIdx(next)) }.prev = prev,
            None => ends.last = prev,
        }
    }

    /// Puts a slab at the end of the fresh ones: a block came back.
    #[inline(never)]
    pub fn refresh<O: Os>(&mut self, site: &Site<O>, granule: GranuleIdx) {
        self.remove(site, granule);
        self.append(site, granule, Place::Fresh);
    }
}
