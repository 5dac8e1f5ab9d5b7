//! The shared half of a heap: its slabs, by class, under the heap's lock.
//!
//! ```text
//!   class   partial slabs: first ⇄ … ⇄ last      refill takes from the first, frees append at the last:
//!           depot: chain ► chain ► …             a slab has as long as can be to fill up again
//! ```
//!
//! The depot keeps whole magazines that came back, so that the next refill is one link. It is bounded
//! by bytes over all classes; beyond, blocks go back to their slabs one by one.

use super::free_list::{Chain, Link};
use super::{CAPACITY, Slab, record, start};
use crate::arena::page_map::Entry;
use crate::arena::{Arena, Geometry};
use crate::config::{DEPOT_BYTES, EMPTY_SLABS_KEPT, GRANULE, GRANULE_SHIFT};
use crate::os::Os;
use crate::row::Row;
use crate::size_class::{self, CLASSES};
use crate::sync::inbox::Packed;
use crate::units::{Bytes, GranuleIdx, Granules, HeapId, Run, SizeClass};

#[derive(Clone, Copy)]
struct Class {
    /// The list of partial slabs: granule index plus one, or 0.
    first: u32,
    last: u32,
    /// Link to the newest chain of the depot, or 0.
    depot: u64,
}

pub struct Central {
    classes: Row<Class, CLASSES>,
    slabs: u32,
    empty_kept: u32,
    depot_bytes: usize,
    /// Bytes of blocks that are outside their slabs.
    used_bytes: usize,
}

/// What a refill brought.
pub struct Refill {
    pub chain: Chain,
    /// The blocks were never used: but for their first word they read as zero.
    pub zeroed: bool,
}

/// Where a heap's slabs are and whose they are: what every operation here needs.
pub struct Site<'a, O: Os> {
    pub arena: &'a Arena<O>,
    pub geometry: Geometry,
    pub heap: HeapId,
}

impl<O: Os> Site<'_, O> {
    /// The link that stands for a block in an inbox or a depot.
    #[inline]
    pub fn link(&self, block: *mut Link) -> u64 {
        (((block.addr() - self.geometry.base.addr()) >> 4) + 1) as u64
    }

    #[inline]
    pub fn block(&self, link: u64) -> *mut Link {
        self.geometry.base.wrapping_add(((link - 1) << 4) as usize).cast()
    }

    #[inline]
    pub fn granule_of(&self, block: *mut Link) -> GranuleIdx {
        GranuleIdx(((block.addr() - self.geometry.base.addr()) >> GRANULE_SHIFT) as u32)
    }

    /// The record of a slab of this heap.
    ///
    /// # Safety
    /// The granule is a slab of this heap, whose lock the caller holds for as long as it uses the
    /// reference; no other reference to the record is alive.
    unsafe fn slab<'s>(&self, granule: GranuleIdx) -> &'s mut Slab {
        // SAFETY: as the caller vouches; records of slabs are initialised when the slab is made.
        unsafe { &mut *record(&self.geometry, granule) }
    }
}

impl Central {
    pub const fn new() -> Self {
        Central {
            classes: Row([Class { first: 0, last: 0, depot: 0 }; CLASSES]),
            slabs: 0,
            empty_kept: 0,
            depot_bytes: 0,
            used_bytes: 0,
        }
    }

    /// Bytes of this heap's slabs.
    pub fn slab_bytes(&self) -> usize {
        (self.slabs as usize) << GRANULE_SHIFT
    }

    /// Bytes of blocks that are with the program, in magazines, or on their way.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes - self.depot_bytes
    }

    /// Between one and `want` blocks of a class. None where the arena can grow no more.
    pub fn refill<O: Os>(&mut self, site: &Site<O>, class: SizeClass, want: u32) -> Option<Refill> {
        let size = size_class::bytes(class);
        if let Some(chain) = self.take_depot(site, class) {
            return Some(Refill { chain, zeroed: false });
        }
        let mut chain = Chain::EMPTY;
        loop {
            let first = match self.classes[class.0 as usize].first.checked_sub(1) {
                Some(first) => GranuleIdx(first),
                None if !chain.is_empty() => break,
                None => self.new_slab(site, class)?,
            };
            // SAFETY: listed slabs are this heap's, and `&mut self` is its lock held; one at a time.
            let slab = unsafe { site.slab(first) };
            if slab.is_empty() {
                self.empty_kept -= 1;
            }
            if slab.free_count() > 0 {
                // SAFETY: the lists of the slab are well formed (Slab's invariant).
                chain = unsafe { take_free(slab, chain, want) };
            } else if chain.is_empty() {
                // SAFETY: the slab is not carved to its end, or it would not be listed.
                let (carved, zeroed) = unsafe { carve(site, slab, first, want) };
                self.used_bytes += carved.count as usize * size;
                self.unlist_if_exhausted(site, class, first);
                return Some(Refill { chain: carved, zeroed });
            } else {
                break;
            }
            self.unlist_if_exhausted(site, class, first);
            if chain.count * 4 >= want {
                break;
            }
        }
        self.used_bytes += chain.count as usize * size;
        Some(Refill { chain, zeroed: false })
    }

    /// Takes a chain of blocks of this heap's slabs back, as cheaply as can be.
    pub fn deposit<O: Os>(&mut self, site: &Site<O>, class: SizeClass, chain: Chain) {
        let bytes = chain.count as usize * size_class::bytes(class);
        if self.depot_bytes + bytes > DEPOT_BYTES || chain.is_empty() {
            return self.release(site, chain);
        }
        let depot = &mut self.classes[class.0 as usize].depot;
        // SAFETY: the chain's blocks are free, and came with it into this heap's hands.
        unsafe { Link::set_chain(chain.head, Packed::new(*depot, chain.count as u64)) };
        *depot = site.link(chain.head);
        self.depot_bytes += bytes;
    }

    fn take_depot<O: Os>(&mut self, site: &Site<O>, class: SizeClass) -> Option<Chain> {
        let depot = &mut self.classes[class.0 as usize].depot;
        if *depot == 0 {
            return None;
        }
        let head = site.block(*depot);
        // SAFETY: the depot's chains carry the word that `deposit` wrote.
        let packed = unsafe { Link::chain(head) };
        *depot = packed.link();
        let count = packed.count() as u32;
        self.depot_bytes -= count as usize * size_class::bytes(class);
        Some(Chain { head, count })
    }

    /// Hands every block of the depot to its slab.
    pub fn empty_depot<O: Os>(&mut self, site: &Site<O>) {
        for class in 0..CLASSES as u8 {
            while let Some(chain) = self.take_depot(site, SizeClass(class)) {
                self.release(site, chain);
            }
        }
    }

    /// Puts each block of a chain back into its slab; slabs with no block out are retired.
    pub fn release<O: Os>(&mut self, site: &Site<O>, chain: Chain) {
        let mut block = chain.head;
        while !block.is_null() {
            let granule = site.granule_of(block);
            // SAFETY: the block is of this heap, so its granule is one of its slabs, and the lock is
            // held; one record at a time.
            let slab = unsafe { site.slab(granule) };
            // Blocks of one slab often come one behind the other: its record is written once for all.
            let (mut free, mut count) = (slab.free, 0);
            loop {
                // SAFETY: the chain's blocks are free and linked; the word is read before it is reused.
                let next = unsafe { Link::next(block) };
                // SAFETY: the block is free and now the slab's.
                unsafe { Link::set_next(block, free) };
                (free, block, count) = (block, next, count + 1);
                if block.is_null() || site.granule_of(block) != granule {
                    break;
                }
            }
            slab.free = free;
            slab.used -= count;
            let (class, used, listed) = (slab.class, slab.used, slab.listed);
            self.used_bytes -= count as usize * size_class::bytes(class);
            if !listed {
                self.append(site, class, granule);
            }
            if used == 0 {
                self.on_empty(site, class, granule);
            }
        }
    }

    /// Retires every slab that was kept though empty.
    pub fn retire_empty<O: Os>(&mut self, site: &Site<O>) {
        for class in 0..CLASSES {
            let mut at = self.classes[class].first;
            while let Some(granule) = at.checked_sub(1) {
                // SAFETY: listed slabs are this heap's; the lock is held; one at a time.
                let slab = unsafe { site.slab(GranuleIdx(granule)) };
                at = slab.next;
                if slab.is_empty() {
                    self.empty_kept -= 1;
                    self.retire(site, SizeClass(class as u8), GranuleIdx(granule));
                }
            }
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
            *slab = Slab::new(class);
            slab.carved = CAPACITY[class.0 as usize];
            slab.used = slab.carved;
            self.slabs += 1;
            self.used_bytes += slab.used as usize * size_class::bytes(class);
        });
    }

    fn new_slab<O: Os>(&mut self, site: &Site<O>, class: SizeClass) -> Option<GranuleIdx> {
        let run = site.arena.alloc_run(Granules(1), Granules(1))?;
        let mut slab = Slab::new(class);
        slab.zeroed = run.zeroed;
        // SAFETY: the run is ours alone: its record has no other user. The record is whole before the
        // entry names this heap.
        unsafe {
            record(&site.geometry, run.head).write(slab);
            site.geometry.map.set(run.head.0 as usize, Entry::slab(site.heap, class));
        }
        self.slabs += 1;
        self.append(site, class, run.head);
        Some(run.head)
    }

    fn on_empty<O: Os>(&mut self, site: &Site<O>, class: SizeClass, granule: GranuleIdx) {
        if self.empty_kept < EMPTY_SLABS_KEPT {
            self.empty_kept += 1;
            // Behind the partial ones: an empty slab is the last to be used again.
            self.unlist(site, class, granule);
            self.append(site, class, granule);
        } else {
            self.retire(site, class, granule);
        }
    }

    fn retire<O: Os>(&mut self, site: &Site<O>, class: SizeClass, granule: GranuleIdx) {
        self.unlist(site, class, granule);
        self.slabs -= 1;
        // SAFETY: a slab of this heap, lock held.
        let carved = unsafe { site.slab(granule) }.carved as usize;
        // SAFETY: no block of it is out, so nobody reads the entry.
        unsafe { site.geometry.map.set(granule.0 as usize, Entry::FREE) };
        let touched = Bytes((carved * size_class::bytes(class)).min(GRANULE));
        site.arena.free_run(Run { head: granule, len: Granules(1), zeroed: false }, touched);
    }

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

/// Moves free blocks of a slab behind those of `chain`, up to `want` in all.
///
/// # Safety
/// The slab's lists are well formed and the caller holds its heap's lock.
unsafe fn take_free(slab: &mut Slab, chain: Chain, want: u32) -> Chain {
    let room = want - chain.count.min(want);
    let taken = if slab.free_count() <= room {
        let all = Chain { head: slab.free, count: slab.free_count() };
        slab.free = core::ptr::null_mut();
        all
    } else {
        let head = slab.free;
        let mut last = head;
        for _ in 1..room.max(1) {
            // SAFETY: the list is longer than `room`.
            last = unsafe { Link::next(last) };
        }
        // SAFETY: as above: the list goes on behind `last`.
        slab.free = unsafe { Link::next(last) };
        // SAFETY: `last` is free and ours.
        unsafe { Link::set_next(last, core::ptr::null_mut()) };
        Chain { head, count: room.max(1) }
    };
    slab.used += taken.count as u16;
    if chain.is_empty() {
        return taken;
    }
    let mut last = chain.head;
    // SAFETY: walks the chain, which is short: a refill goes on only while it has a quarter of `want`.
    unsafe {
        while !Link::next(last).is_null() {
            last = Link::next(last);
        }
        Link::set_next(last, taken.head);
    }
    Chain { head: chain.head, count: chain.count + taken.count }
}

/// Carves up to `want` new blocks, in address order. The chain, and whether the blocks read as zero.
///
/// # Safety
/// The slab has blocks left to carve, and the caller holds its heap's lock.
unsafe fn carve<O: Os>(site: &Site<O>, slab: &mut Slab, granule: GranuleIdx, want: u32) -> (Chain, bool) {
    let size = size_class::bytes(slab.class);
    let left = (CAPACITY[slab.class.0 as usize] - slab.carved) as u32;
    let count = want.min(left).max(1);
    let head = start(&site.geometry, granule).wrapping_add(slab.carved as usize * size);
    for k in 0..count as usize {
        let block: *mut Link = head.wrapping_add(k * size).cast();
        let next = if k + 1 < count as usize {
            head.wrapping_add((k + 1) * size).cast()
        } else {
            core::ptr::null_mut()
        };
        // SAFETY: inside the granule, beyond what was carved: nobody else's.
        unsafe { Link::set_next(block, next) };
    }
    slab.carved += count as u16;
    slab.used += count as u16;
    (Chain { head: head.cast(), count }, slab.zeroed)
}
