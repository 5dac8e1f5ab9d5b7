//! The arena: memory of the break's and of regions anywhere, handed out as runs of granules.
//!
//! ```text
//!                                                                near the break, or wherever there is room
//!    │ … program │ slab │ slab │ span, 2 │ free run │→ break      │ region: slab │ free │ slab │
//!    │ block 0, 64 MiB: its tables │ block 1 …                    │ block n: its tables │
//! ```
//!
//! A granule's index counts from address 0, over all 48 bits of addresses. Blocks of 64 MiB have tables
//! while the arena has anything there (`block`); a granule's page-map entry is found in a window, or in its
//! block (`windows`). A run does not cross a block.
//!
//! Invariants:
//! - I1: A granule is in exactly one of: a free run, a `Run` or what its holder made of it, or not gained.
//! - I2: Its page-map entry is not FREE only while a `Run` or a slab or span holds it: `alloc_run` writes it
//!   before it returns, `free_run` wipes it, both under the lock. In no state is a granule neither free nor
//!   named, but for what is being purged.
//! - I3: The tables of a block are there while any granule of it is gained, and the bits about each that is.
//!
//! Lock order: a heap's lock, then this one. Purging runs without it: the run is taken out first.
#![allow(unsafe_code)]

mod again;
mod allowance;
mod bits;
mod block;
mod block_list;
mod break_mode;
mod budget;
mod directory;
pub mod figures;
mod geometry;
mod growth;
mod idle;
mod own_break;
pub mod page_map;
pub mod parts;
mod purge;
mod regions;
mod repair;
mod runs;
mod share;
mod shrink;
mod sleeper;
mod state;
mod swing;
mod unload;
mod windows;

use crate::base::config::{BLOCK_GRANULES, GRANULE, GRANULE_SHIFT, GROW_FIRST, ROOM_ABOVE};
use crate::base::fatal;
use crate::base::settings::Settings;
use crate::base::units::{Bytes, GranuleIdx, Granules, Run, div_up, round_up};
use crate::base::why::{Cause, Reason, Why};
use crate::os::{BreakOwner, Os, aligned::is_below};
use crate::sync::{lock::Guard, started::Started};
use block::{BLOCK, Block, number_of, place_of};
pub use block::{RECORD, RECORDS_APART, Table};
pub use break_mode::BreakMode;
use budget::Budget;
use directory::{Directory, Levels};
use geometry::{ADDRESS_BITS, granule_of};
pub use geometry::{Geometry, LastTables};
use own_break::OwnBreak;
use page_map::Entry;
use regions::Regions;
pub use share::Share;
use state::{State, places};
pub use windows::Window;
use windows::Windows;

pub struct Arena<O: Os> {
    pub os: O,
    /// What is set, for all floors above too.
    pub settings: Settings,
    /// The geometry for all, and what the arena's lock guards. Edge START.
    started: Started<State, Geometry>,
    windows: Windows,
    /// How much may stay dirty: asked by all who free.
    pub budget: Budget,
    /// How often the lock was taken.
    #[cfg(test)]
    pub locked: core::sync::atomic::AtomicUsize,
}

impl<O: Os> Arena<O> {
    pub const fn new(os: O) -> Self {
        Arena {
            os,
            settings: Settings::new(),
            started: Started::nothing(),
            windows: Windows::none(),
            budget: Budget::new(),
            #[cfg(test)]
            locked: core::sync::atomic::AtomicUsize::new(0),
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

    /// Maps the directory, and chooses the way to grow.
    fn build(&self) -> Option<(State, Geometry)> {
        let page = self.os.page();
        let directory_len = round_up(size_of::<Levels>(), page)?;
        let (tables, grow) = (Reason::Tables.by(Cause::Process), Reason::Grow.by(Cause::Process));
        let levels: *mut Levels = self.os.map(directory_len, tables)?.cast();
        let owner = self.os.break_owner();
        let brk = if owner == BreakOwner::Foreign { 0 } else { self.os.current_break() };
        // One above all that is told apart here is as good as another's.
        let brk = if is_below(brk, BLOCK) { brk } else { 0 };
        let (own, mut regions) = match round_up(brk, BLOCK) {
            Some(next) if brk != 0 => {
                (OwnBreak::new(owner), Regions::upward(next + ROOM_ABOVE[owner as usize]))
            }
            _ => (OwnBreak::new(BreakOwner::Foreign), Regions::anywhere()),
        };
        let region = if own.is_ours() { None } else { regions.map(&self.os, GROW_FIRST, 0, grow) };
        let first = region.as_ref().map_or(brk, |region| region.start);
        // SAFETY: mapped above, zeros, and nobody knows of it.
        let directory = unsafe { Directory::begin(levels, number_of(granule_of(first))) };
        let geometry = Geometry { directory };
        let to = regions.direction();
        let mut state = State::new(own, regions, page);
        let mut ready = first != 0;
        if let Some(region) = region {
            state.mapped_last = true;
            ready = self.accept(geometry, &mut state, region, Some(to), grow.cause);
        }
        if !ready {
            // SAFETY: mapped above, and nobody knows of it.
            unsafe { self.os.unmap(levels.cast(), directory_len, tables) };
            return None;
        }
        Some((state, geometry))
    }

    /// A run of `len` granules at a multiple of `align` granules, for which the page map says `entry` at the
    /// first one. Its clean pages count as taken.
    pub fn alloc_run(&self, len: Granules, align: Granules, entry: Entry) -> Option<Run> {
        let (run, clean) = self.take_run(len, align, entry, entry.why())?;
        self.note_taken(clean);
        Some(run)
    }

    /// The same, where the entry does not tell why the arena grows; and how much is clean, for the caller to
    /// count.
    pub fn take_run(&self, len: Granules, align: Granules, entry: Entry, why: Why) -> Option<(Run, Bytes)> {
        let geometry = self.start()?;
        let want = Granules(len.0.checked_add(align.0 - 1).filter(|&want| want <= BLOCK_GRANULES)?);
        let mut guard = self.lock();
        let state = guard.as_mut()?;
        // A gain may end in another block than it began in, with too little in each: the next one goes on
        // there.
        let mut tries = 0..3;
        let (at, taken) = loop {
            if let Some(taken) = state.take(len, align) {
                break taken;
            }
            tries.next()?;
            if !self.grow(geometry, state, want, why) {
                return None;
            }
        };
        let block = state.blocks.block(at);
        let head = state.index(block, taken.start);
        self.set_entries(geometry, block, head, len, entry);
        self.budget.note_pinned(state.is_pinned());
        self.budget.publish(Share::of(state));
        let clean = state.clean_bytes(at, taken);
        let zeroed = clean.0 == (len.0 as usize) << GRANULE_SHIFT;
        Some((Run { head, len, zeroed }, clean))
    }

    /// Grows the run of a span in place by `by` granules, if those behind it are free. Whether the added
    /// granules read as zero is not known.
    pub fn extend_run(&self, head: GranuleIdx, len: Granules, by: Granules) -> bool {
        let geometry = self.started();
        let mut guard = self.lock();
        let Some(state) = guard.as_mut() else { return false };
        let Some(at) = state.find(head) else { return false };
        let behind = places(head, len).end;
        if behind + by.0 > BLOCK_GRANULES
            || !state.change(at, |runs| runs.take_exactly(behind..behind + by.0))
        {
            return false;
        }
        state.count_in_use(by.0);
        let clean = state.clean_bytes(at, behind..behind + by.0);
        let block = state.blocks.block(at);
        for granule in head.0 + len.0..head.0 + len.0 + by.0 {
            self.set_entry(geometry, block, GranuleIdx(granule), Entry::SPAN_BODY);
        }
        self.set_entry(geometry, block, head, Entry::span(Granules(len.0 + by.0)));
        drop(guard);
        self.note_taken(clean);
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

    /// Which of the first granules of a run read as zero, a bit each, the lowest first. The caller holds it,
    /// and has not touched it.
    pub fn clean_granules(&self, run: &Run) -> u32 {
        let clean = self.with_state(|state| {
            let at = state.find(run.head)?;
            let granules = places(run.head, run.len).take(u32::BITS as usize).enumerate();
            let runs = &state.head(at).runs;
            let is_clean = |&(_, granule): &(usize, u32)| runs.dirty_pages(granule..granule + 1) == 0;
            Some(granules.filter(is_clean).fold(0, |clean, (bit, _)| clean | 1 << bit))
        });
        clean.flatten().unwrap_or(0)
    }

    /// Has the page map say something else of a run, whose holder the caller is: of its head last.
    pub fn rename_run(&self, head: GranuleIdx, len: Granules, entry: Entry) {
        let geometry = self.started();
        self.with_state(|state| {
            if let Some(at) = state.find(head) {
                self.set_entries(geometry, state.blocks.block(at), head, len, entry);
            }
        });
    }

    /// Takes a run back. Each of its granules has at most `touched` bytes, in whole pages, that were
    /// written since it was handed out; or, of a `zeroed` run, that may be other than zero at all. What
    /// that makes too much is purged by `enforce_bound`, which the caller is to call where it `is_over`,
    /// once it holds no lock.
    pub fn free_run(&self, run: Run, touched: Bytes) {
        let geometry = self.started();
        self.with_state(|state| {
            let Some(at) = state.find(run.head) else {
                fatal::unreachable_state(c"a run without a block");
            };
            let pages = div_up(touched.0.min(GRANULE), state.page) as u8;
            state.in_use -= run.len.0;
            self.set_entries(geometry, state.blocks.block(at), run.head, run.len, Entry::FREE);
            let joined = state.change(at, |runs| {
                if run.zeroed {
                    runs.clean(places(run.head, run.len));
                }
                runs.mark_dirty(places(run.head, run.len), pages);
                runs.insert(places(run.head, run.len))
            });
            state.more = (self.budget.swing.bound() >> GRANULE_SHIFT) as u32 / 4;
            state.note_end(geometry, at, joined, place_of(run.head));
            self.budget.note_pinned(state.is_pinned());
            let wakes = self.budget.sleeper.is_asleep();
            if state.ends_go || wakes || self.budget.excess(&self.settings, state).is_some() {
                self.budget.note_over();
            }
            self.budget.note_held(&self.settings, Share::of(state));
        });
    }

    /// Writes the entries of a run: `first` for its first granule, and for the others what goes with it.
    fn set_entries(&self, geometry: Geometry, block: Block, head: GranuleIdx, len: Granules, first: Entry) {
        for distance in 1..len.0 {
            self.set_entry(geometry, block, GranuleIdx(head.0 + distance), first.of_later(distance));
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
        match geometry.directory.get(number_of(granule)) {
            // SAFETY: a block that no window shows keeps its tables for good, and has a word for each
            // granule.
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

    /// The arena's share, read at once under its lock.
    pub fn share(&self) -> Share {
        self.with_state(|state| Share::of(state)).unwrap_or(Share::NOTHING)
    }

    /// Whether more is dirty than may be, as far as that is known without the lock.
    #[inline]
    pub fn is_exceeded(&self) -> bool {
        self.budget.is_exceeded(&self.settings)
    }

    /// Bytes that a purge of chunks should leave dirty in them.
    pub fn chunks_target(&self) -> usize {
        self.budget.chunks_target(&self.settings)
    }

    /// Bytes of free mappings that may be kept beside the arena.
    pub fn cache_bound(&self, share: Share) -> usize {
        if self.budget.swing.bound() > 0 {
            self.look_at_swing();
        }
        self.budget.cache_bound(&self.settings, share)
    }

    #[inline(always)]
    fn lock(&self) -> Guard<'_, Option<State>> {
        #[cfg(test)]
        self.locked.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        self.started.lock()
    }

    fn with_state<R>(&self, f: impl FnOnce(&mut State) -> R) -> Option<R> {
        self.lock().as_mut().map(|state| {
            let result = f(state);
            self.budget.publish(Share::of(state));
            result
        })
    }

    #[cfg(test)]
    pub fn hold_lock(&self) -> impl Sized + '_ {
        self.lock()
    }

    /// Calls `f` with every granule the arena was given, and its entry. Without the lock: for a fork's child,
    /// whose only thread may have been caught inside of it.
    pub fn for_each_granule(&self, mut f: impl FnMut(GranuleIdx, Entry)) {
        let Some(geometry) = self.geometry() else { return };
        for block in geometry.directory.iter() {
            // SAFETY: the only thread of the process is this one; others' references are gone with them.
            let head = unsafe { block.head() };
            for place in head.gained.stretches().flatten() {
                let granule = GranuleIdx(head.number * BLOCK_GRANULES + place);
                f(granule, self.entry_of(geometry, granule));
            }
        }
    }

    /// Has `f` move the break with the arena's lock held: nobody grows the arena meanwhile. `f` gets the
    /// address behind the last byte that the arena has of it.
    pub fn with_break_held<R>(&self, f: impl FnOnce(usize) -> R) -> R {
        match &mut *self.lock() {
            Some(State { brk, .. }) => brk.lend(&self.os, |brk| f(brk.addrs().end)),
            None => f(0),
        }
    }
}
