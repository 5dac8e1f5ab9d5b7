//! The shared half of a heap: its slabs, by class, under the heap's lock.
//!
//! ```text
//!   class   partial slabs: first ⇄ … ⇄ last      refill takes from the first, frees append at the last:
//!                                                a slab has as long as can be to fill up again
//!           depot: parcel ► parcel ► …           a refill takes one of these first
//! ```

pub mod free;

use super::depot::Depot;
use super::parcel::{Closed, Parcel, WRITTEN};
pub use super::site::Site;
use super::slot::Slot;
use super::{Slab, capacity};
use crate::arena::LastTables;
use crate::arena::page_map::Entry;
use crate::config::{GRANULE, GRANULE_SHIFT};
use crate::os::Os;
use crate::row::{Row, at_or_end, part_or_end, split_or_end};
use crate::size_class::{self, CLASSES};
use crate::units::{Bytes, GranuleIdx, Granules, Run, SizeClass, round_down};

#[derive(Clone, Copy)]
struct Class {
    /// The list of partial slabs: granule index plus one, or 0.
    first: u32,
    last: u32,
}

pub struct Central {
    classes: Row<Class, CLASSES>,
    slabs: u32,
    /// The slab that is kept though no block of it is out: granule index plus one, or 0. One, against a
    /// program that allocates and frees at the edge of a slab: eight held 460 KiB in each of 200 idle
    /// threads. The lowest, so that the top of the arena can go.
    kept: u32,
    depot: Depot,
    /// The slab of each class of which all is carved, while its last blocks may be at hand of the heap's
    /// thread and were never handed out: granule index plus one, or 0. Its entry is a young slab's until the
    /// next refill.
    growing: Row<u32, CLASSES>,
    /// Bytes of blocks that are outside their slabs.
    used_bytes: usize,
}

/// What a refill brought.
pub struct Refill {
    /// Blocks, at least one.
    pub count: u32,
    /// They were never used, and read as zero.
    pub zeroed: bool,
    /// They were never handed out: how far their slab is carved.
    pub carved: Option<u16>,
}

/// The address of the slab that a block is of: granules are where multiples of their size are.
fn start_of(block: *mut u8) -> usize {
    round_down(block.addr(), GRANULE)
}

impl Central {
    pub const fn new() -> Self {
        Central {
            classes: Row([Class { first: 0, last: 0 }; CLASSES]),
            slabs: 0,
            kept: 0,
            depot: Depot::new(),
            growing: Row([0; CLASSES]),
            used_bytes: 0,
        }
    }

    /// Bytes of this heap's slabs.
    pub fn slab_bytes(&self) -> usize {
        (self.slabs as usize) << GRANULE_SHIFT
    }

    /// Bytes of blocks that are with the program, in magazines, or on their way.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes - self.depot.bytes()
    }

    /// Takes a parcel of this heap's blocks in: into the depot, or into the slabs.
    pub fn keep<O: Os>(&mut self, site: &Site<O>, parcel: Closed) {
        if let Some(parcel) = self.depot.keep(site, parcel) {
            self.release_closed(site, parcel);
        }
    }

    /// Hands every block of the depot to its slab.
    pub fn empty_depot<O: Os>(&mut self, site: &Site<O>) {
        // Rarely anything is there, and the end of every thread asks.
        if self.depot.bytes() == 0 {
            return;
        }
        (0..CLASSES as u8).for_each(|class| self.empty_depot_of(site, SizeClass(class)));
    }

    /// The same for those of one class.
    pub fn empty_depot_of<O: Os>(&mut self, site: &Site<O>, class: SizeClass) {
        while let Some(mut parcel) = self.depot.take(site, class) {
            self.release_parcel(site, class, &mut parcel);
        }
    }

    /// Fills slots, from the first on, with up to as many blocks of a class; within a slab the lowest
    /// comes last, because magazines are emptied from that end. None where the arena can grow no more.
    pub fn refill<O: Os>(&mut self, site: &Site<O>, class: SizeClass, slots: &[Slot]) -> Option<Refill> {
        self.grow_up(site, class);
        let want = slots.len() as u32;
        let mut count = 0;
        while count * 4 < want
            && let Some(mut parcel) = self.depot.take(site, class)
        {
            count += parcel.unpack(split_or_end(slots, count as usize).1) as u32;
            self.release_parcel(site, class, &mut parcel);
        }
        if count > 0 {
            return Some(Refill { count, zeroed: false, carved: None });
        }
        while count * 4 < want {
            let first = match self.classes[class.0 as usize].first.checked_sub(1) {
                Some(first) => GranuleIdx(first),
                None if count > 0 => break,
                None => self.new_slab(site, class)?,
            };
            // SAFETY: listed slabs are this heap's, and `&mut self` is its lock held; one at a time.
            let slab = unsafe { site.slab(first) };
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
            let places = part_or_end(slots, count as usize..(count + got) as usize).iter().rev();
            slab.free.take(places, |place, at| place.set(from.wrapping_add(at * size)));
            slab.used += got as u16;
            count += got;
            self.unlist_if_exhausted(site, class, first);
        }
        self.used_bytes += count as usize * size_class::bytes(class);
        Some(Refill { count, zeroed: false, carved: None })
    }

    /// Fills slots with blocks of a listed slab that were never handed out, of which it has some.
    fn carve<O: Os>(
        &mut self,
        site: &Site<O>,
        class: SizeClass,
        granule: GranuleIdx,
        slots: &[Slot],
    ) -> Refill {
        // SAFETY: as in `refill`.
        let slab = unsafe { site.slab(granule) };
        let carved = slab.carved as usize;
        let count = (capacity(class) as usize - carved).min(slots.len());
        let (from, size) = (site.geometry.start(granule), size_class::bytes(class));
        let places = part_or_end(slots, 0..count).iter().rev();
        places.zip(carved..).for_each(|(place, at)| place.set(from.wrapping_add(at * size)));
        slab.carved += count as u16;
        slab.used += count as u16;
        // SAFETY: as above.
        unsafe { site.mark(granule, slab.carved) };
        let refill = Refill { count: count as u32, zeroed: slab.zeroed, carved: Some(slab.carved) };
        if slab.carved == capacity(class) {
            self.growing[class.0 as usize] = granule.0 + 1;
        }
        self.unlist_if_exhausted(site, class, granule);
        self.used_bytes += count * size;
        refill
    }

    /// The blocks that the last refill carved were handed out: the thread of the heap has none of the class
    /// at hand.
    fn grow_up<O: Os>(&mut self, site: &Site<O>, class: SizeClass) {
        let growing = &mut self.growing[class.0 as usize];
        if let Some(granule) = growing.checked_sub(1) {
            *growing = 0;
            // Who holds a block may find it young still, and looks closer then.
            site.arena.rename_run(GranuleIdx(granule), Entry::slab(site.heap, class));
        }
    }

    /// Puts blocks of a class back into their slabs, as far as those are this heap's; slabs with no block out
    /// are retired. How many were not: they stand first then.
    pub fn release<O: Os>(&mut self, site: &Site<O>, class: SizeClass, blocks: &[Slot]) -> usize {
        let mine = Entry::slab(site.heap, class);
        let (mut others, mut tables) = (0, LastTables::NONE);
        let mut rest = blocks.iter();
        let mut next = rest.next();
        while let Some(block) = next {
            if site.entry_of(block.get()) != mine {
                // All before it are others' too, or back in their slabs.
                at_or_end(blocks, others).swap(block);
                others += 1;
                next = rest.next();
                continue;
            }
            let from = start_of(block.get());
            // SAFETY: a slab of this heap, and the lock is held; one record at a time.
            let slab: &mut Slab = unsafe { &mut *tables.record_of(&site.geometry, from).cast() };
            let (mut block, mut offset, mut count) = (block.get(), block.get().addr() - from, 0);
            // Blocks of one slab often come one behind the other.
            loop {
                match slab.put_back(class, offset) {
                    Ok(()) => count += 1,
                    Err(what) => site.noted.note(what, block),
                }
                next = rest.next();
                let Some(slot) = next else { break };
                block = slot.get();
                offset = block.addr().wrapping_sub(from);
                if offset >= GRANULE {
                    break;
                }
            }
            self.took_back(site, slab, from, count);
        }
        others
    }

    /// Puts a block of this heap back into its slab, as `release` does many.
    pub fn release_one<O: Os>(&mut self, site: &Site<O>, class: SizeClass, block: *mut u8) {
        let from = start_of(block);
        // SAFETY: as in `release`.
        let slab = unsafe { site.slab(site.geometry.granule_of(from)) };
        match slab.put_back(class, block.addr() - from) {
            Ok(()) => self.took_back(site, slab, from, 1),
            Err(what) => site.noted.note(what, block),
        }
    }

    /// Blocks of a slab of this heap, which starts at the address `from`, went back into it, if any was
    /// right.
    #[inline]
    fn took_back<O: Os>(&mut self, site: &Site<O>, slab: *mut Slab, from: usize, count: usize) {
        if count == 0 {
            return;
        }
        // SAFETY: as in `release`; the reference ends before the lists are changed, which make their own.
        let slab = unsafe { &mut *slab };
        slab.used -= count as u16;
        let (class, used, listed) = (slab.class, slab.used, slab.listed);
        self.used_bytes -= count * size_class::bytes(class);
        if !listed {
            self.append(site, class, site.geometry.granule_of(from));
        }
        if used == 0 {
            self.on_empty(site, class, site.geometry.granule_of(from));
        }
    }

    /// Hands the blocks of a parcel to their slabs, which are this heap's.
    pub fn release_closed<O: Os>(&mut self, site: &Site<O>, parcel: Closed) {
        let class = parcel.class;
        // SAFETY: the parcel is the heap's own.
        self.release_parcel(site, class, &mut unsafe { parcel.open(site) });
    }

    /// The same for what is left of an open one.
    fn release_parcel<O: Os>(&mut self, site: &Site<O>, class: SizeClass, parcel: &mut Parcel) {
        let buffer = [const { Slot::empty() }; 64];
        loop {
            let filled = parcel.unpack(&buffer);
            if filled == 0 {
                break;
            }
            self.release(site, class, part_or_end(&buffer, 0..filled));
        }
        if let Some(block) = parcel.torn() {
            site.noted.note(WRITTEN, block);
        }
    }

    /// Retires the slab that was kept though empty.
    pub fn retire_empty<O: Os>(&mut self, site: &Site<O>) {
        if let Some(kept) = self.kept.checked_sub(1) {
            self.kept = 0;
            self.retire(site, GranuleIdx(kept));
        }
    }

    /// After a fork that caught another thread at work here: nothing in the lists can be trusted. All
    /// blocks count as used from now on; what was free is lost, what is live can be freed.
    pub fn rebuild<O: Os>(&mut self, site: &Site<O>) {
        *self = Central::new();
        site.arena.for_each_granule(|granule, entry| {
            let Some((heap, class)) = entry.as_slab() else { return };
            if heap != site.heap {
                return;
            }
            // SAFETY: a slab of this heap by its entry; the only thread of the process is this one.
            let slab = unsafe { site.slab(granule) };
            slab.reset(class, false);
            slab.carved = capacity(class);
            slab.used = slab.carved;
            // SAFETY: as above.
            unsafe { site.mark(granule, slab.carved) };
            self.slabs += 1;
            self.used_bytes += slab.used as usize * size_class::bytes(class);
        });
    }

    fn new_slab<O: Os>(&mut self, site: &Site<O>, class: SizeClass) -> Option<GranuleIdx> {
        let run = site.arena.alloc_run(Granules(1), Granules(1), Entry::slab(site.heap, class).young())?;
        // SAFETY: the run is ours alone: its record has no other user.
        unsafe {
            site.slab(run.head).reset(class, run.zeroed);
            site.mark(run.head, 0);
        }
        self.slabs += 1;
        self.append(site, class, run.head);
        Some(run.head)
    }

    // Out of line, so that the loop of `release` has its registers for itself; `append` too.
    #[inline(never)]
    fn on_empty<O: Os>(&mut self, site: &Site<O>, class: SizeClass, granule: GranuleIdx) {
        if self.kept != 0 && self.kept < granule.0 + 1 {
            return self.retire(site, granule);
        }
        self.retire_empty(site);
        self.kept = granule.0 + 1;
        // Behind the partial ones: an empty slab is the last to be used again.
        self.unlist(site, class, granule);
        self.append(site, class, granule);
    }

    /// Gives a slab back of which no block is out.
    fn retire<O: Os>(&mut self, site: &Site<O>, granule: GranuleIdx) {
        // SAFETY: a slab of this heap, lock held.
        let slab = unsafe { site.slab(granule) };
        let (class, carved) = (slab.class, slab.carved as usize);
        let growing = &mut self.growing[class.0 as usize];
        if *growing == granule.0 + 1 {
            *growing = 0;
        }
        self.unlist(site, class, granule);
        self.slabs -= 1;
        let touched = Bytes((carved * size_class::bytes(class)).min(GRANULE));
        site.arena.free_run(Run { head: granule, len: Granules(1), zeroed: false }, touched);
    }

    #[inline(never)]
    fn append<O: Os>(&mut self, site: &Site<O>, class: SizeClass, granule: GranuleIdx) {
        let list = &mut self.classes[class.0 as usize];
        let last = list.last;
        list.last = granule.0 + 1;
        match last.checked_sub(1) {
            // SAFETY: a listed slab of this heap, lock held; no other reference is alive.
            Some(before) => unsafe { site.slab(GranuleIdx(before)) }.next = granule.0 + 1,
            None => list.first = granule.0 + 1,
        }
        // SAFETY: as above.
        let slab = unsafe { site.slab(granule) };
        (slab.prev, slab.next, slab.listed) = (last, 0, true);
    }

    fn unlist<O: Os>(&mut self, site: &Site<O>, class: SizeClass, granule: GranuleIdx) {
        // SAFETY: a listed slab of this heap, lock held; its neighbours are other records.
        let slab = unsafe { site.slab(granule) };
        let (prev, next) = (slab.prev, slab.next);
        (slab.prev, slab.next, slab.listed) = (0, 0, false);
        let list = &mut self.classes[class.0 as usize];
        match prev.checked_sub(1) {
            // SAFETY: as above.
            Some(prev) => unsafe { site.slab(GranuleIdx(prev)) }.next = next,
            None => list.first = next,
        }
        match next.checked_sub(1) {
            // SAFETY: as above.
            Some(next) => unsafe { site.slab(GranuleIdx(next)) }.prev = prev,
            None => list.last = prev,
        }
    }

    fn unlist_if_exhausted<O: Os>(&mut self, site: &Site<O>, class: SizeClass, granule: GranuleIdx) {
        // SAFETY: a listed slab of this heap, lock held.
        if unsafe { site.slab(granule) }.exhausted() {
            self.unlist(site, class, granule);
        }
    }
}
