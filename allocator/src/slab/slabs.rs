//! The shared half of a heap: its slabs, by class, under the heap's lock.
//!
//! ```text
//!   class   partial slabs: see `lists`
//!           depot: parcel ► parcel ► …           a refill takes one of these first
//! ```
#![allow(unsafe_code)]

pub mod free;
mod refill;
mod round;

use super::bitmap;
use super::depot::Depot;
use super::lists::Lists;
use super::parcel::{Closed, Parcel, WRITTEN};
use super::record::{Place, Slab};
use super::round::Rounds;
use super::site::Site;
use super::slack::{Slack, Worth};
use super::slot::Slot;
use super::starts::{Indices, capacity};
use crate::arena::LastTables;
use crate::arena::page_map::Entry;
use crate::base::checked::{Checked, at_or_end, part_or_end};
use crate::base::config::{GRANULE, GRANULE_SHIFT};
use crate::base::size_class::{self, CLASSES};
use crate::base::units::{Bytes, GranuleIdx, Granules, Run, SizeClass, round_down};
use crate::os::Os;

pub struct Slabs {
    pub(super) rounds: Rounds,
    pub(super) lists: Lists,
    /// How many slabs there are.
    count: u32,
    /// The slab that is kept though no block of it is out: granule index plus one, or 0. One, against a
    /// program that allocates and frees at the edge of a slab: eight held 460 KiB in each of 200 idle
    /// threads. The lowest, so that the top of the arena can go.
    pub(super) kept: u32,
    depot: Depot,
    /// The slab of each class that is carved to its end, and whose last blocks may be at hand of the heap's
    /// thread still: granule index plus one, or 0. Until the next refill its entry is a young slab's.
    growing: Checked<u32, CLASSES>,
    /// Bytes of blocks that are outside their slabs.
    pub(super) used_bytes: usize,
    of: Checked<OfClass, CLASSES>,
    /// Bytes that were never carved, of slabs that read as zero there, and of clean pages: neither has memory
    /// behind it.
    fresh: usize,
    pub(super) clean: usize,
    pub(super) slack: Slack,
}

/// What a heap has of a class.
#[derive(Clone, Copy)]
pub struct OfClass {
    /// Granules that are slabs of it.
    pub granules: u32,
    /// Blocks that are outside their slabs.
    pub used: u32,
}

/// The address of the slab that a block is of: granules are where multiples of their size are.
fn start_of(block: *mut u8) -> usize {
    round_down(block.addr(), GRANULE)
}

impl Slabs {
    pub const fn new() -> Self {
        Slabs {
            lists: Lists::new(),
            count: 0,
            kept: 0,
            depot: Depot::new(),
            growing: Checked([0; CLASSES]),
            used_bytes: 0,
            of: Checked([OfClass { granules: 0, used: 0 }; CLASSES]),
            fresh: 0,
            clean: 0,
            rounds: Rounds::new(),
            slack: Slack::new(),
        }
    }

    /// Bytes of this heap's slabs.
    pub fn slab_bytes(&self) -> usize {
        (self.count as usize) << GRANULE_SHIFT
    }

    /// Bytes of blocks that are with the program, in magazines, or on their way.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes - self.depot.bytes()
    }

    /// What there is of a class, and how many blocks of it the depot has.
    pub fn of_class(&self, class: SizeClass) -> (OfClass, u32) {
        (self.of[class.0 as usize], self.depot.blocks(class))
    }

    /// Bytes of the blocks in the depot.
    pub fn kept_bytes(&self) -> usize {
        self.depot.bytes()
    }

    /// Counts bytes of pages that were purged, or that are so no more.
    fn count_clean<O: Os>(&mut self, site: &Site<O>, bytes: isize) {
        if bytes != 0 {
            self.clean = self.clean.wrapping_add_signed(bytes);
            site.arena.budget.count_purged_in_slabs(bytes);
        }
    }

    /// Those that may have memory behind them.
    pub fn resident_bytes(&self) -> usize {
        self.slab_bytes() - self.fresh - self.clean
    }

    /// Those of them that are in no block.
    pub(super) fn dirty_bytes(&self) -> usize {
        self.resident_bytes().saturating_sub(self.used_bytes)
    }

    /// Whether there is anything to note about the slack of a heap that is sparse.
    #[inline]
    pub fn asks_for_slack(&self) -> bool {
        self.slack.asks_sparse(self.dirty_bytes(), self.used_bytes)
    }

    /// Whether there is anything to forget about that of a heap that is not.
    #[inline]
    pub fn asks_to_forget_slack(&self) -> bool {
        self.slack.asks_dense()
    }

    /// Where a sparse heap uses no fewer bytes than these, there is not. Where most of its pages are clean it
    /// has no slack before a quarter of the others is in use.
    pub fn slack_below(&self) -> usize {
        match self.slack.below() {
            usize::MAX => self.resident_bytes() / 4,
            below => below,
        }
    }

    /// What came back to the slabs of a sparse heap since their pages were purged.
    pub fn slack(&mut self) -> (usize, Worth) {
        self.slack.note(self.dirty_bytes(), self.used_bytes)
    }

    /// Of a heap that is not sparse.
    pub fn forget_slack(&mut self) {
        self.slack.forget(self.dirty_bytes(), self.used_bytes);
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

    /// Puts blocks of a class back into their slabs, those of this heap; a slab that becomes empty is
    /// retired. Returns how many blocks belong to other heaps: they are moved to the front of `blocks`.
    pub fn release<O: Os>(&mut self, site: &Site<O>, class: SizeClass, blocks: &[Slot]) -> usize {
        let (mine, indices) = (Entry::slab(site.heap, class), Indices::of(class));
        let (words, table) = bitmap::words(class);
        let (mut others, mut back, mut tables) = (0, 0, LastTables::NONE);
        let mut rest = blocks;
        while let Some((slot, behind)) = rest.split_first() {
            let block = slot.get();
            if site.entry_of(block) != mine {
                // All before it are others' too, or back in their slabs.
                at_or_end(blocks, others).swap(slot);
                (others, rest) = (others + 1, behind);
                continue;
            }
            let from = start_of(block);
            // SAFETY: a slab of this heap, lock held (I10).
            let (slab, bits) = unsafe { tables.record_of(&site.geometry, from, table) };
            // SAFETY: its record; one at a time (I10).
            let slab = unsafe { &mut *slab.cast::<Slab>() };
            // SAFETY: its bits (I10); the table has room for so many.
            let bits = unsafe { core::slice::from_raw_parts_mut(bits, words) };
            rest = behind;
            if let Err(wrong) = slab.put(bits, indices, block.addr() - from) {
                site.noted.note(wrong.message(), block);
                continue;
            }
            let mut count = 1;
            // Blocks of one slab often come one behind the other.
            if rest.first().is_some_and(|next| next.get().addr().wrapping_sub(from) < GRANULE) {
                let more = slab.put_back(bits, indices, from, rest);
                rest = part_or_end(rest, more..rest.len());
                count += more;
            }
            back += count;
            if let Some(change) = slab.count_back(count) {
                self.took_back(site, from, change);
            }
        }
        self.used_bytes -= back * size_class::bytes(class);
        self.of[class.0 as usize].used -= back as u32;
        others
    }

    /// Puts a block of this heap back into its slab, as `release` does many.
    pub fn release_one<O: Os>(&mut self, site: &Site<O>, class: SizeClass, block: *mut u8) {
        let from = start_of(block);
        // SAFETY: a slab of this heap, lock held (I10).
        let (slab, bits) = unsafe { site.parts(site.granule_of(block), class) };
        match slab.put(bits, Indices::of(class), block.addr() - from) {
            Ok(()) => {
                self.used_bytes -= size_class::bytes(class);
                self.of[class.0 as usize].used -= 1;
                if let Some(change) = slab.count_back(1) {
                    self.took_back(site, from, change);
                }
            }
            Err(wrong) => site.noted.note(wrong.message(), block),
        }
    }

    /// A slab of this heap, which starts at the address `from`, has to be listed elsewhere (`count_back`).
    #[inline(never)]
    fn took_back<O: Os>(&mut self, site: &Site<O>, from: usize, (used, place): (u16, Place)) {
        let granule = site.geometry.granule_of(from);
        if place < Place::Fresh {
            self.lists.refresh(site, granule);
        }
        if used == 0 {
            self.on_empty(site, granule);
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
        self.count_clean(site, -(self.clean as isize));
        *self = Slabs::new();
        site.arena.for_each_granule(|granule, entry| {
            let Some((heap, class)) = entry.as_slab() else { return };
            if heap != site.heap {
                return;
            }
            // SAFETY: a slab of this heap by its entry; the only thread of the process is this one.
            let (slab, bits) = unsafe { site.parts(granule, class) };
            slab.reset(bits, class);
            slab.carved = capacity(class);
            slab.used = slab.carved;
            // SAFETY: a slab of this heap.
            unsafe { site.mark(granule, slab.carved) };
            self.count += 1;
            self.used_bytes += slab.used as usize * size_class::bytes(class);
            let of = &mut self.of[class.0 as usize];
            (of.granules, of.used) = (of.granules + 1, of.used + slab.used as u32);
        });
    }

    // Rare, and out of line so that the loop of `release` has its registers for itself.
    #[inline(never)]
    pub(super) fn on_empty<O: Os>(&mut self, site: &Site<O>, granule: GranuleIdx) {
        // SAFETY: a slab of this heap, lock held (I10).
        if unsafe { site.slab(granule) }.place == Place::Away {
            // Whoever purges its pages looks when it puts it back.
            return;
        }
        if self.kept != 0 && self.kept < granule.0 + 1 {
            return self.retire(site, granule);
        }
        self.retire_empty(site);
        self.kept = granule.0 + 1;
        // Behind the partial ones: an empty slab is the last to be used again.
        self.lists.refresh(site, granule);
    }

    /// Gives a slab back of which no block is out.
    fn retire<O: Os>(&mut self, site: &Site<O>, granule: GranuleIdx) {
        self.lists.remove(site, granule);
        // SAFETY: a slab of this heap, lock held (I10).
        let slab = unsafe { site.slab(granule) };
        let (page, carved) = (site.page(), slab.carved as usize * size_class::bytes(slab.class));
        // Where no page was purged, the arena knows better what the others were before.
        let (zeroed, touched) = match slab.clean.is_empty() {
            true => (false, carved.min(GRANULE)),
            false => (true, GRANULE - slab.clean.or(slab.never_used(page)).bytes(page)),
        };
        let growing = &mut self.growing[slab.class.0 as usize];
        if *growing == granule.0 + 1 {
            *growing = 0;
        }
        self.count -= 1;
        self.of[slab.class.0 as usize].granules -= 1;
        self.fresh -= if slab.zeroed { GRANULE - carved } else { 0 };
        self.count_clean(site, -(slab.clean.bytes(page) as isize));
        site.arena.free_run(Run { head: granule, len: Granules(1), zeroed }, Bytes(touched));
    }
}
