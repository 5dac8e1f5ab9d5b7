//! What other threads do to a heap: send parcels to it, drain its inbox where the owner does not, repair it
//! after a fork.
#![allow(unsafe_code)]

use super::{Heap, Shared};
use crate::arena::Arena;
use crate::arena::page_map::Entry;
use crate::base::allocated::Allocated;
use crate::base::checked::split_or_end;
use crate::base::config::{GRANULE, INBOX_STEAL};
use crate::base::size_class;
use crate::base::units::SizeClass;
use crate::os::Os;
use crate::slab::noted::Noted;
use crate::slab::parcel::{Closed, WRITTEN};
use crate::slab::site::Site;
use crate::slab::slabs::Slabs;
use crate::slab::slabs::free::FreeBlocks;
use crate::slab::slot::Slot;
use crate::slab::starts::index_of;
use crate::sync::drain::drain;
use crate::sync::fences::Strong;
use core::sync::atomic::{Ordering, fence};

/// An inbox weighs its parcels in bytes of the smallest block.
pub(super) const WEIGHT: usize = 16;

impl Heap {
    /// Receives blocks of this heap's, all of `class`, at least one, from whoever is at `site`. True where
    /// its slabs are mostly free. With a pointer into a block among them none is received: from the depot it
    /// would be handed out, and no slab sees it.
    pub fn receive<O: Os>(&self, site: &Site<O>, class: SizeClass, blocks: &[Slot]) -> bool {
        let site = site.of(self.id());
        // No early end: without branches it costs the least where all are right.
        let starts = |block: &Slot| index_of(class, block.get().addr() % GRANULE).is_some();
        if !blocks.iter().fold(true, |all, block| all & starts(block)) {
            let wrong = blocks.iter().find(|block| !starts(block));
            wrong.into_iter().for_each(|block| site.noted.note(c"free(): invalid pointer", block.get()));
            return false;
        }
        let (mut rest, mut waiting) = (blocks, 0);
        while !rest.is_empty() {
            // SAFETY: the caller gives the blocks up.
            let parcel = unsafe { Closed::pack(&site, class, rest) };
            waiting = self.shared.inbox.push(site.link(parcel.head), units(&parcel), |behind| {
                // SAFETY: the parcel is this thread's until the push succeeds; the PUBLISH edge hands it
                // over.
                unsafe { parcel.label(&site, behind) };
            });
            rest = split_or_end(rest, parcel.count).1;
        }
        // NOTICE: the push before the look at whether the owner parks; see `give_up`.
        fence(Ordering::SeqCst);
        let limit = if self.wants_all_home() { 0 } else { INBOX_STEAL / WEIGHT };
        if waiting as usize > limit {
            self.drain(&site);
        }
        // Relaxed: a hint.
        self.shared.sparse.load(Ordering::Relaxed)
    }

    /// A block of this heap's for a thread that has no heap and gets none. None where the arena can grow no
    /// more.
    pub fn lend<O: Os>(&self, arena: &Arena<O>, class: SizeClass) -> Option<Allocated> {
        let noted = Noted::nothing();
        let site = self.site(arena, &noted);
        let slot = Slot::empty();
        let refill = {
            let mut slabs = self.shared.slabs.lock();
            self.shared.keep_inbox(&site, &mut slabs);
            let refill = slabs.refill(&site, class, core::slice::from_ref(&slot));
            self.release_idle(&mut slabs, &site);
            refill
        };
        self.drain(&site);
        Some(Allocated { block: slot.get(), zeroed_from: refill?.zeroed_from })
    }

    /// Drains the inbox of an owner that may be asleep. Whoever is at the slabs already looks again.
    pub(super) fn drain<O: Os>(&self, site: &Site<O>) {
        drain::<Strong>(&self.shared.inbox, || self.try_drain(site));
    }

    fn try_drain<O: Os>(&self, site: &Site<O>) -> bool {
        let Some(mut slabs) = self.shared.slabs.try_lock() else { return false };
        if self.wants_all_home() {
            self.shared.release_inbox(site, &mut slabs);
        } else {
            self.shared.keep_inbox(site, &mut slabs);
        }
        self.release_idle(&mut slabs, site);
        true
    }

    /// Whether what is sent to it goes into the slabs at once, as far as is known.
    pub(super) fn wants_all_home(&self) -> bool {
        // Relaxed: a hint, see `note_sparse`.
        self.is_parked() || self.shared.sparse.load(Ordering::Relaxed)
    }

    /// Keeps nothing that nobody may come to use, and nothing that pins slabs that are mostly free.
    fn release_idle<O: Os>(&self, slabs: &mut Slabs, site: &Site<O>) {
        let parked = self.is_parked();
        if self.note_sparse(site, slabs) || parked {
            slabs.empty_depot(site);
        }
        if parked {
            slabs.retire_empty(site);
        }
    }

    /// Returns what can be returned of a heap that another thread runs: all but its magazines.
    pub fn trim_shared<O: Os>(&self, arena: &Arena<O>) {
        let noted = Noted::nothing();
        let site = self.site(arena, &noted);
        {
            let mut slabs = self.shared.slabs.lock();
            self.shared.release_inbox(&site, &mut slabs);
            slabs.empty_depot(&site);
            slabs.retire_empty(&site);
        }
        // A sender that found the lock taken has left its parcel to whoever held it.
        self.drain(&site);
    }

    /// Bytes of this heap's slabs, and of their blocks that are out.
    pub fn slab_figures<O: Os>(&self, arena: &Arena<O>) -> (usize, usize) {
        let figures = {
            let slabs = self.shared.slabs.lock();
            (slabs.slab_bytes(), slabs.used_bytes())
        };
        // As above.
        let noted = Noted::nothing();
        self.drain(&self.site(arena, &noted));
        figures
    }

    /// What is free in this heap's slabs.
    pub fn free_blocks<O: Os>(&self, arena: &Arena<O>) -> FreeBlocks {
        let noted = Noted::nothing();
        let site = self.site(arena, &noted);
        let free = self.shared.slabs.lock().free_blocks(&site);
        // As above.
        self.drain(&site);
        free
    }

    /// In a fork's child, of which a thread is not there that held the lock: all is found anew.
    pub(super) fn rebuild<O: Os>(&self, arena: &Arena<O>) {
        let noted = Noted::nothing();
        self.shared.slabs.lock().rebuild(&self.site(arena, &noted));
    }

    /// The same of one that was making a round.
    pub(super) fn end_lost_round<O: Os>(&self, arena: &Arena<O>) {
        let noted = Noted::nothing();
        self.shared.slabs.lock().end_lost_round(&self.site(arena, &noted));
    }
}

impl Shared {
    #[cfg(test)]
    pub fn hold_lock(&self) -> impl Sized + '_ {
        self.slabs.lock()
    }

    /// Takes everything out of the inbox and into the depot.
    pub(super) fn keep_inbox<O: Os>(&self, site: &Site<O>, slabs: &mut Slabs) {
        self.take_inbox(site, |parcel| slabs.keep(site, parcel));
    }

    /// Takes everything out of the inbox and into the slabs.
    fn release_inbox<O: Os>(&self, site: &Site<O>, slabs: &mut Slabs) {
        self.take_inbox(site, |parcel| slabs.release_closed(site, parcel));
    }

    /// Takes everything out of the inbox.
    fn take_inbox<O: Os>(&self, site: &Site<O>, mut each: impl FnMut(Closed)) {
        let waiting = self.inbox.take_all();
        let (mut link, mut seen) = (waiting.link(), 0);
        while link != 0 {
            let head = site.block(link);
            // SAFETY: what was taken is the taker's (edge PUBLISH), packed and labelled by `receive`.
            let sent = unsafe { Closed::labelled(site, head) };
            seen += sent.as_ref().map_or(0, |(parcel, _)| units(parcel));
            // A block that was sent twice may carry two parcels, and then they are a ring.
            let Some((parcel, behind)) = sent.filter(|_| seen <= waiting.count() || waiting.is_saturated())
            else {
                return site.noted.note(WRITTEN, head);
            };
            each(parcel);
            link = behind;
        }
    }
}

/// Swaps the blocks of an entry to the front. How many they are.
pub(super) fn gather<O: Os>(site: &Site<O>, blocks: &[Slot], entry: Entry) -> usize {
    let mut last = None;
    let mut belongs = |block: &Slot| {
        // Blocks of one granule often come one behind the other: it is looked up once.
        let granule = Some(site.granule_of(block.get()));
        let belongs = granule == last || site.entry_of(block.get()) == entry;
        if belongs {
            last = granule;
        }
        belongs
    };
    // Mostly all of them are.
    let mut count = blocks.iter().position(|block| !belongs(block)).unwrap_or(blocks.len());
    for block in blocks.iter().skip(count + 1).filter(|block| belongs(block)) {
        if let Some(place) = blocks.get(count) {
            place.swap(block);
        }
        count += 1;
    }
    count
}

/// What an inbox weighs a parcel by.
fn units(parcel: &Closed) -> u64 {
    (parcel.count * size_class::bytes(parcel.class) / WEIGHT) as u64
}
