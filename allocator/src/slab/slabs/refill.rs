//! Blocks for an empty magazine: of the depot, of slabs that have free ones, of slabs that are carved on.
#![allow(unsafe_code)]

use super::{Site, Slabs};
use crate::arena::page_map::Entry;
use crate::base::allocated::UNKNOWN;
use crate::base::checked::{part_or_end, split_or_end};
use crate::base::config::GRANULE;
use crate::base::size_class;
use crate::base::units::{Bytes, GranuleIdx, Granules, SizeClass};
use crate::os::Os;
use crate::slab::pages::Pages;
use crate::slab::record::Place;
use crate::slab::slot::Slot;
use crate::slab::starts::capacity;

/// What a refill brought.
pub struct Refill {
    /// Blocks, at least one.
    pub count: u32,
    /// As in `Allocated`, of each of them: 0 where they were never used.
    pub zeroed_from: usize,
    /// They were never handed out: how far their slab is carved.
    pub carved: Option<u16>,
}

impl Slabs {
    /// Fills slots, from the first on, with up to as many blocks of a class; within a slab the lowest
    /// comes last, because magazines are emptied from that end. None where the arena can grow no more.
    pub fn refill<O: Os>(&mut self, site: &Site<O>, class: SizeClass, slots: &[Slot]) -> Option<Refill> {
        self.grow_up(site, class);
        let want = slots.len() as u32;
        let mut count = 0;
        while count * 4 < want {
            let Some(mut parcel) = self.depot.take(site, class) else { break };
            count += parcel.unpack(split_or_end(slots, count as usize).1) as u32;
            self.release_parcel(site, class, &mut parcel);
        }
        if count > 0 {
            return Some(Refill { count, zeroed_from: UNKNOWN, carved: None });
        }
        while count * 4 < want {
            let first = match self.lists.first(class) {
                Some(first) => first,
                None if count > 0 => break,
                None => self.new_slab(site, class)?,
            };
            // SAFETY: listed slabs are this heap's, and `&mut self` is its lock held; one at a time (I10).
            let (slab, bits) = unsafe { site.parts(first, class) };
            if self.kept == first.0 + 1 {
                self.kept = 0;
            }
            let there = slab.free_count();
            if there == 0 && count == 0 {
                return Some(self.carve(site, class, first, slots));
            }
            if there == 0 {
                break;
            }
            let got = there.min(want - count);
            let (from, size) = (site.geometry.start(first), size_class::bytes(class));
            let filled = part_or_end(slots, count as usize..(count + got) as usize);
            slab.free(bits).take(filled.iter().rev(), |place, at| place.set(from.wrapping_add(at * size)));
            slab.used += got as u16;
            count += got;
            let exhausted = slab.exhausted();
            if !slab.clean.is_empty() {
                self.use_clean_pages(site, first, filled);
            }
            if exhausted {
                self.lists.remove(site, first);
            }
        }
        self.used_bytes += count as usize * size_class::bytes(class);
        self.of[class.0 as usize].used += count;
        Some(Refill { count, zeroed_from: UNKNOWN, carved: None })
    }

    /// Fills slots with blocks of a listed slab that were never handed out, of which it has some.
    fn carve<O: Os>(
        &mut self,
        site: &Site<O>,
        class: SizeClass,
        granule: GranuleIdx,
        slots: &[Slot],
    ) -> Refill {
        // SAFETY: a listed slab, lock held (I10).
        let slab = unsafe { site.slab(granule) };
        let carved = slab.carved as usize;
        let count = (capacity(class) as usize - carved).min(slots.len());
        let (from, size) = (site.geometry.start(granule), size_class::bytes(class));
        let filled = part_or_end(slots, 0..count);
        let places = filled.iter().rev();
        places.zip(carved..).for_each(|(place, at)| place.set(from.wrapping_add(at * size)));
        slab.carved += count as u16;
        slab.used += count as u16;
        self.fresh -= if slab.zeroed { count * size } else { 0 };
        // SAFETY: a slab of this heap, lock held.
        unsafe { site.mark(granule, slab.carved) };
        let zeroed_from = if slab.zeroed { 0 } else { UNKNOWN };
        let refill = Refill { count: count as u32, zeroed_from, carved: Some(slab.carved) };
        if slab.carved == capacity(class) {
            self.growing[class.0 as usize] = granule.0 + 1;
        }
        let exhausted = slab.exhausted();
        if !slab.clean.is_empty() {
            self.use_clean_pages(site, granule, filled);
        }
        if exhausted {
            self.lists.remove(site, granule);
        }
        self.used_bytes += count * size;
        self.of[class.0 as usize].used += count as u32;
        refill
    }

    /// What the last refill carved was handed out: the heap's thread has nothing of the class at hand.
    fn grow_up<O: Os>(&mut self, site: &Site<O>, class: SizeClass) {
        let growing = &mut self.growing[class.0 as usize];
        if let Some(granule) = growing.checked_sub(1) {
            *growing = 0;
            // Who holds a block may find it young still, and looks closer then.
            site.arena.rename_run(GranuleIdx(granule), Granules(1), Entry::slab(site.heap, class));
        }
    }

    fn new_slab<O: Os>(&mut self, site: &Site<O>, class: SizeClass) -> Option<GranuleIdx> {
        let run = site.arena.alloc_run(Granules(1), Granules(1), Entry::slab(site.heap, class).young())?;
        // SAFETY: the run is ours alone: its record has no other user.
        unsafe {
            let (slab, bits) = site.parts(run.head, class);
            slab.reset(bits, class);
            slab.zeroed = run.zeroed;
            site.mark(run.head, 0);
        }
        self.count += 1;
        self.of[class.0 as usize].granules += 1;
        if run.zeroed {
            self.fresh += GRANULE;
        }
        self.lists.append(site, run.head, Place::Fresh);
        Some(run.head)
    }

    /// Blocks of a slab are handed out, the first of them the highest: what they lie in is not clean any
    /// more.
    #[inline(never)]
    fn use_clean_pages<O: Os>(&mut self, site: &Site<O>, granule: GranuleIdx, blocks: &[Slot]) {
        let (Some(highest), Some(lowest)) = (blocks.first(), blocks.last()) else { return };
        // SAFETY: a slab of this heap, lock held (I10).
        let slab = unsafe { site.slab(granule) };
        let from = site.geometry.addr_of(granule);
        let end = highest.get().addr() + size_class::bytes(slab.class) - from;
        let page = site.page();
        let held = Pages::holding(page, lowest.get().addr() - from..end);
        let used = slab.clean.and(held).bytes(page);
        self.count_clean(site, -(used as isize));
        site.arena.note_taken(Bytes(used));
        slab.clean = slab.clean.without(held);
        self.slack.note_used();
    }
}
