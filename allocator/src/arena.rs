//! The arena: memory of the break's and of regions anywhere, handed out as runs of granules.
//!
//! ```text
//!   origin                                                       near the break, or wherever there is room
//!    │ … program │ slab │ slab │ span, 2 │ free run │→ break      │ region: slab │ free │ slab │
//!    │ block 0, 64 MiB: its tables │ block 1 …                    │ block n: its tables │
//! ```
//!
//! A granule's index counts from the origin, over all 48 bits of addresses. Blocks of 64 MiB have tables while
//! the arena has anything there (`block`); a granule's page-map entry is found in a window, or in its block
//! (`windows`). A run does not cross a block.
//!
//! Invariants:
//! 1. A granule is in exactly one of: a free run, a `Run` or what its holder made of it, or not gained.
//! 2. Its page-map entry is not FREE only while a `Run` or a slab or span holds it: `alloc_run` writes it
//!    before it returns, `free_run` wipes it, both under the lock. In no state is a granule neither free nor
//!    named, but for what is being purged.
//! 3. The tables of a block are there while any granule of it is gained.
//!
//! Lock order: a heap's lock, then this one. Purging runs without it: the run is taken out first.

mod bits;
mod block;
mod block_list;
mod directory;
mod figures;
mod growth;
mod own_break;
pub mod page_map;
mod purge;
mod regions;
mod repair;
mod runs;
mod state;
mod unload;
mod windows;

use crate::config::{BLOCK_GRANULES, GRANULE, GRANULE_SHIFT, GROW_FIRST, ROOM_ABOVE};
use crate::fatal;
use crate::os::{BreakOwner, Os};
use crate::sync::started::Started;
use crate::units::{Bytes, GranuleIdx, Granules, Run, div_up, round_down, round_up};
use block::{BLOCK, Block, number_of, place_of};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use directory::Directory;
pub use figures::BreakMode;
use own_break::OwnBreak;
use page_map::Entry;
use regions::Regions;
use state::{State, places};
pub use windows::Window;
use windows::Windows;

/// Bytes of a granule's record, what the layer above keeps for a granule it holds: a bit for each 16 bytes,
/// and 32.
pub const RECORD: usize = 32 + GRANULE / 16 / 8;

/// Bits of an address that the arena tells apart.
const ADDRESS_BITS: u32 = 48;

/// Where things are. Set once.
#[derive(Clone, Copy)]
pub struct Geometry {
    /// The address that granules are counted from: the start of a block.
    origin: usize,
    directory: *const Directory,
}

// SAFETY: the directory's slots are atomics.
unsafe impl Send for Geometry {}
// SAFETY: as above.
unsafe impl Sync for Geometry {}

impl Geometry {
    /// Bytes from the origin to an address, modulo the address space.
    #[inline(always)]
    pub fn distance_of(&self, addr: usize) -> usize {
        addr.wrapping_sub(self.origin) & ((1 << ADDRESS_BITS) - 1)
    }

    /// The address at so many bytes from the origin.
    #[inline(always)]
    pub fn at_distance(&self, distance: usize) -> *mut u8 {
        let addr = self.origin.wrapping_add(distance) & ((1 << ADDRESS_BITS) - 1);
        core::ptr::with_exposed_provenance_mut(addr)
    }

    /// The granule of an address. Below the origin they are counted downward from the highest index.
    #[inline(always)]
    pub fn granule_of(&self, addr: usize) -> GranuleIdx {
        GranuleIdx((addr.wrapping_sub(self.origin) >> GRANULE_SHIFT) as u32)
    }

    /// The address of a granule's first byte.
    #[inline(always)]
    pub fn addr_of(&self, granule: GranuleIdx) -> usize {
        self.at_distance((granule.0 as usize) << GRANULE_SHIFT).addr()
    }

    /// A granule's first byte.
    #[inline(always)]
    pub fn start(&self, granule: GranuleIdx) -> *mut u8 {
        self.at_distance((granule.0 as usize) << GRANULE_SHIFT)
    }

    /// The record of a granule.
    ///
    /// # Safety
    /// The caller holds the granule.
    #[inline]
    pub unsafe fn record(&self, granule: GranuleIdx) -> *mut u8 {
        // SAFETY: as the caller vouches.
        unsafe { self.block_of(granule) }.record(place_of(granule))
    }

    /// The tables that describe a granule.
    ///
    /// # Safety
    /// The caller holds the granule.
    #[inline]
    unsafe fn block_of(&self, granule: GranuleIdx) -> Block {
        match self.directory().get(number_of(granule)) {
            Some(block) => block,
            None => fatal::unreachable_state(c"a granule without tables"),
        }
    }

    #[inline(always)]
    fn directory(&self) -> &Directory {
        // SAFETY: mapped when the arena started, and never unmapped.
        unsafe { &*self.directory }
    }
}

/// The tables of the block that was asked about last: the next question is mostly about the same one.
pub struct LastTables {
    /// The block's addresses divided by its size.
    part: usize,
    block: Block,
}

impl LastTables {
    pub const NONE: LastTables = LastTables { part: usize::MAX, block: Block(core::ptr::null_mut()) };

    /// The record of the granule at an address.
    ///
    /// # Safety
    /// The caller holds the granule, and those that it asked about before.
    #[inline]
    pub unsafe fn record_of(&mut self, geometry: &Geometry, addr: usize) -> *mut u8 {
        if addr / BLOCK != self.part {
            // SAFETY: as the caller vouches.
            (self.part, self.block) = (addr / BLOCK, unsafe { geometry.block_of(geometry.granule_of(addr)) });
        }
        // The origin is the start of a block, so places are told by the address alone.
        self.block.record((addr / GRANULE) as u32 % BLOCK_GRANULES)
    }
}

pub struct Arena<O: Os> {
    pub os: O,
    /// The geometry for all, and what the arena's lock guards. Edge START.
    started: Started<State, Geometry>,
    windows: Windows,
    /// Bytes live, and bytes cached, outside of the arena: the large mappings.
    outside_live: AtomicUsize,
    outside_cached: AtomicUsize,
    /// Dirty memory was above its bound when a run was freed.
    over: AtomicBool,
    /// Dirty memory is above its bound, and none of it is the arena's to purge.
    pressed: AtomicBool,
    /// Runs in use may have free pages that are worth purging: whoever holds them looks.
    slack: AtomicBool,
}

impl<O: Os> Arena<O> {
    pub const fn new(os: O) -> Self {
        Arena {
            os,
            started: Started::nothing(),
            windows: Windows::none(),
            outside_live: AtomicUsize::new(0),
            outside_cached: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            pressed: AtomicBool::new(false),
            slack: AtomicBool::new(false),
        }
    }

    /// None until the arena has started.
    #[inline]
    pub fn geometry(&self) -> Option<Geometry> {
        self.started.get()
    }

    /// The geometry of an arena that has started, for those who hold something of it.
    #[inline]
    pub fn started(&self) -> Geometry {
        match self.geometry() {
            Some(geometry) => geometry,
            None => fatal::unreachable_state(c"a heap without an arena"),
        }
    }

    /// Starts the arena where it has not. None where the system gives no memory; a later call tries
    /// again.
    pub fn start(&self) -> Option<Geometry> {
        self.started.start(|| self.build())
    }

    /// Maps the directory, and chooses the way to grow and the origin.
    fn build(&self) -> Option<(State, Geometry)> {
        let page = self.os.page();
        let directory_len = round_up(size_of::<Directory>(), page)?;
        let directory = self.os.map(directory_len)?;
        let owner = self.os.break_owner();
        let brk = if owner == BreakOwner::Foreign { 0 } else { self.os.current_break() };
        let (own, mut regions) = match round_up(brk, BLOCK) {
            Some(next) if brk != 0 => {
                (OwnBreak::new(owner), Regions::upward(next + ROOM_ABOVE[owner as usize]))
            }
            _ => (OwnBreak::new(BreakOwner::Foreign), Regions::anywhere()),
        };
        let region = if own.is_ours() { None } else { regions.map(&self.os, GROW_FIRST) };
        let first = region.as_ref().map_or(brk, |region| region.start);
        let geometry = Geometry { origin: round_down(first, BLOCK), directory: directory.cast() };
        let to = regions.direction();
        let mut state = State::new(own, regions, page);
        let mut ready = first != 0;
        if let Some(region) = region {
            state.mapped_last = true;
            ready = self.accept(geometry, &mut state, region, Some(to));
        }
        if !ready {
            // SAFETY: mapped above, and nobody knows of it.
            unsafe { self.os.unmap(directory, directory_len) };
            return None;
        }
        Some((state, geometry))
    }

    /// A run of `len` granules at a multiple of `align` granules, for which the page map says `entry` at the
    /// first one.
    pub fn alloc_run(&self, len: Granules, align: Granules, entry: Entry) -> Option<Run> {
        let geometry = self.start()?;
        let want = Granules(len.0.checked_add(align.0 - 1).filter(|&want| want <= BLOCK_GRANULES)?);
        let mut guard = self.started.lock();
        let state = guard.as_mut()?;
        // A gain may end in another block than it began in, with too little in each: the next one goes on there.
        let mut tries = 0..3;
        let (at, taken) = loop {
            if let Some(taken) = state.take(len, align) {
                break taken;
            }
            tries.next()?;
            if !self.grow(geometry, state, want) {
                return None;
            }
        };
        let block = state.blocks.block(at);
        let head = state.index(block, taken.start);
        self.set_entries(geometry, block, head, len, entry);
        Some(Run { head, len, zeroed: state.head(at).runs.dirty_pages(taken) == 0 })
    }

    /// Grows the run of a span in place by `by` granules, if those behind it are free. Whether the added granules
    /// read as zero is not known.
    pub fn extend_run(&self, head: GranuleIdx, len: Granules, by: Granules) -> bool {
        let geometry = self.started();
        let mut guard = self.started.lock();
        let Some(state) = guard.as_mut() else { return false };
        let Some(at) = state.find(head) else { return false };
        let behind = places(head, len).end;
        if behind + by.0 > BLOCK_GRANULES
            || !state.change(at, |runs| runs.take_exactly(behind..behind + by.0))
        {
            return false;
        }
        state.count_in_use(by.0);
        let block = state.blocks.block(at);
        for granule in head.0 + len.0..head.0 + len.0 + by.0 {
            self.set_entry(geometry, block, GranuleIdx(granule), Entry::SPAN_BODY);
        }
        self.set_entry(geometry, block, head, Entry::span(Granules(len.0 + by.0)));
        true
    }

    /// Takes the end of a span's run back, all but its first `keep` granules.
    pub fn cut_run(&self, head: GranuleIdx, len: Granules, keep: Granules) {
        let geometry = self.started();
        self.with_state(|state| {
            if let Some(at) = state.find(head) {
                self.set_entry(geometry, state.blocks.block(at), head, Entry::span(keep));
            }
        });
        let end = Run { head: GranuleIdx(head.0 + keep.0), len: Granules(len.0 - keep.0), zeroed: false };
        self.free_run(end, Bytes(GRANULE));
    }

    /// Takes a run back. Each of its granules has at most `touched` bytes, in whole pages, that were written
    /// since it was handed out; or, of a `zeroed` run, that may be other than zero at all. What that makes too
    /// much is purged by `enforce_bound`, which the caller is to call where it `is_over`, once it holds no lock.
    pub fn free_run(&self, run: Run, touched: Bytes) {
        let geometry = self.started();
        self.with_state(|state| {
            let Some(at) = state.find(run.head) else {
                fatal::unreachable_state(c"a run without a block");
            };
            let pages = div_up(touched.0.min(GRANULE), state.page) as u8;
            state.in_use -= run.len.0;
            self.set_entries(geometry, state.blocks.block(at), run.head, run.len, Entry::FREE);
            state.change(at, |runs| {
                if run.zeroed {
                    runs.clean(places(run.head, run.len));
                }
                runs.soil(places(run.head, run.len), pages);
                runs.insert(places(run.head, run.len))
            });
            if self.excess(state).is_some() {
                // Relaxed: the lock orders it; see `enforce_bound`.
                self.over.store(true, Ordering::Relaxed);
            }
        });
    }

    /// Writes the entries of a run: `first` for its first granule, and for the others what goes with it.
    fn set_entries(&self, geometry: Geometry, block: Block, head: GranuleIdx, len: Granules, first: Entry) {
        let rest = if first == Entry::FREE { Entry::FREE } else { Entry::SPAN_BODY };
        for granule in head.0 + 1..head.0 + len.0 {
            self.set_entry(geometry, block, GranuleIdx(granule), rest);
        }
        self.set_entry(geometry, block, head, first);
    }

    /// The page-map entry at an address; FREE where the arena has nothing.
    #[inline]
    pub fn entry_at(&self, geometry: Geometry, addr: usize) -> Entry {
        let newest = self.windows.newest();
        match newest.place(addr) {
            // SAFETY: inside the window.
            Some(place) => unsafe { newest.map.get(place) },
            None => self.entry_elsewhere(geometry, addr),
        }
    }

    /// The same where the newest window does not show the address.
    #[cold]
    #[inline(never)]
    pub fn entry_elsewhere(&self, geometry: Geometry, addr: usize) -> Entry {
        if let Some((window, place)) = self.windows.find(addr) {
            // SAFETY: inside the window.
            return unsafe { window.map.get(place) };
        }
        if addr >> ADDRESS_BITS != 0 {
            return Entry::FREE;
        }
        let granule = geometry.granule_of(addr);
        match geometry.directory().get(number_of(granule)) {
            // SAFETY: a block that no window shows keeps its tables for good, and has a word for each granule.
            Some(block) => unsafe { block.words().get(place_of(granule) as usize) },
            None => Entry::FREE,
        }
    }

    fn entry_of(&self, geometry: Geometry, granule: GranuleIdx) -> Entry {
        self.entry_at(geometry, geometry.addr_of(granule))
    }

    /// The newest window, for a heap's copy.
    #[inline]
    pub fn window(&self) -> Window {
        self.windows.newest()
    }

    /// Whether dirty memory passed its bound since it was last enforced, or slack was noted.
    #[inline]
    pub fn is_over(&self) -> bool {
        // Relaxed: the thread that freed a run sees its own store, and others may leave it to that one.
        self.over.load(Ordering::Relaxed)
    }

    /// Counts a large mapping in (or out) as live; as cached.
    pub fn count_outside(&self, live: isize, cached: isize) {
        // Relaxed: statistics that a policy reads; nothing is published by them.
        self.outside_live.fetch_add(live as usize, Ordering::Relaxed);
        self.outside_cached.fetch_add(cached as usize, Ordering::Relaxed);
    }

    /// Sets both, in the child of a fork that may have copied them between a change and its count.
    pub fn recount_outside(&self, live: usize, cached: usize) {
        // Relaxed: as above.
        self.outside_live.store(live, Ordering::Relaxed);
        self.outside_cached.store(cached, Ordering::Relaxed);
    }

    /// Bytes that may be cached outside the window, at the present live size.
    pub fn cache_bound(&self) -> usize {
        let guard = self.started.lock();
        let (in_use, dirty) = guard.as_ref().map_or((0, 0), |state| {
            ((state.in_use as usize) << GRANULE_SHIFT, state.dirty as usize * state.page)
        });
        let live = in_use + self.outside_live.load(Ordering::Relaxed);
        purge::bound(live).saturating_sub(dirty)
    }

    /// Dirty pages beyond what the purge should leave, if the bound is passed.
    fn excess(&self, state: &mut State) -> Option<u32> {
        let live = ((state.in_use as usize) << GRANULE_SHIFT) + self.outside_live.load(Ordering::Relaxed);
        let bound = purge::bound(live);
        let dirty = state.dirty as usize * state.page + self.outside_cached.load(Ordering::Relaxed);
        (dirty > bound).then(|| div_up(dirty - purge::target(bound), state.page) as u32)
    }

    /// Purges until dirty memory is inside its bound.
    pub fn enforce_bound(&self) {
        // Relaxed: before this thread takes the lock. A run freed before that counts below; one freed later
        // says so again behind this store.
        self.over.store(false, Ordering::Relaxed);
        let wanted = |state: &mut State| self.excess(state).filter(|_| state.may_purge());
        while let Some(pages) = self.with_state(wanted).flatten() {
            if !self.purge_some(pages) {
                // Relaxed: a hint for whoever frees next.
                self.pressed.store(true, Ordering::Relaxed);
                return;
            }
        }
        self.pressed.store(false, Ordering::Relaxed);
    }

    /// Whether the last purge ended above the bound, so that what is cached elsewhere should go.
    #[inline]
    pub fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// Says that runs in use may have pages to purge: to whoever asks whether it `is_over`.
    pub fn note_slack(&self) {
        // Relaxed: the thread that says so sees it, and others may leave it to that one.
        self.slack.store(true, Ordering::Relaxed);
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether that was said since the last call.
    pub fn take_slack(&self) -> bool {
        // Relaxed: as above.
        self.slack.swap(false, Ordering::Relaxed)
    }

    /// Purges every free run, lowers the break as far as it goes, and unmaps the regions that are free.
    pub fn purge_all(&self) {
        while self.purge_some(u32::MAX) {}
        let Some(geometry) = self.geometry() else { return };
        self.with_state(|state| {
            self.trim_break(geometry, state);
            for at in (0..state.blocks.count()).rev() {
                self.unmap_regions(geometry, state, at);
            }
        });
    }

    fn with_state<R>(&self, f: impl FnOnce(&mut State) -> R) -> Option<R> {
        self.started.lock().as_mut().map(f)
    }

    /// Purges the highest dirty run, or its upper part that holds `pages` dirty pages. False where
    /// there is none, or where the kernel refuses.
    fn purge_some(&self, pages: u32) -> bool {
        let Some(geometry) = self.geometry() else { return false };
        let Some(purging) = self.with_state(|state| state.start_purge(pages)).flatten() else { return false };
        let len = (purging.len.0 as usize) << GRANULE_SHIFT;
        // SAFETY: the granules are in no free run and nobody's (Invariant 1): this thread took them out.
        let done = unsafe { self.os.purge(geometry.start(purging.head), len) };
        self.with_state(|state| {
            let Some((at, run)) = state.end_purge(purging, done) else { return };
            if done {
                // A run's records may be as many as its pages were: they go too.
                let granules = places(purging.head, purging.len);
                state.blocks.block(at).purge_records(&self.os, granules, run);
                self.unmap_regions(geometry, state, at);
            }
            self.trim_break(geometry, state);
        });
        done
    }

    #[cfg(test)]
    pub fn hold_lock(&self) -> impl Sized + '_ {
        self.started.lock()
    }

    /// Calls `f` with every granule the arena was given, and its entry. Without the lock: for a fork's child,
    /// whose only thread may have been caught inside of it.
    pub fn for_each_granule(&self, mut f: impl FnMut(GranuleIdx, Entry)) {
        let Some(geometry) = self.geometry() else { return };
        for block in geometry.directory().iter() {
            // SAFETY: the only thread of the process is this one; others' references are gone with them.
            let head = unsafe { block.head() };
            for place in head.gained.stretches().flatten() {
                let granule = GranuleIdx(head.number * BLOCK_GRANULES + place);
                f(granule, self.entry_of(geometry, granule));
            }
        }
    }

    /// Has `f` move the break with the arena's lock held: nobody grows the arena meanwhile. `f` gets the address
    /// behind the last byte that the arena has of it.
    pub fn with_break_held<R>(&self, f: impl FnOnce(usize) -> R) -> R {
        match &mut *self.started.lock() {
            Some(State { brk, .. }) => brk.lend(&self.os, |brk| f(brk.addrs().end)),
            None => f(0),
        }
    }
}
