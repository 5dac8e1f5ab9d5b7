//! The arena: one window of addresses, handed out as runs of granules.
//!
//! ```text
//!   base                                                      end            base + window
//!    │ slab │ slab │ span, 2 granules │ free run │ slab │ free │ not yet gained … │
//!    page map: a word each   chunks: free runs  records: for whoever holds the granule
//! ```
//!
//! Invariants:
//! 1. A granule is in exactly one of: a free run, a `Run` or what its holder made of it, or not gained.
//! 2. Its page-map entry is not FREE only while a slab or span holds it.
//! 3. The tables are writable for every granule that was gained, and the page map is readable for the
//!    whole window.
//!
//! Lock order: a heap's lock, then this one. Purging runs without it: the run is taken out first.

mod figures;
mod growth;
pub mod page_map;
mod purge;
mod repair;
mod runs;
mod state;
mod stretches;
mod tables;
mod top;

use crate::config::{GRANULE, GRANULE_SHIFT, WINDOW, WINDOW_MIN};
use crate::fatal;
use crate::os::Os;
use crate::sync::started::Started;
use crate::units::{Bytes, GranuleIdx, Granules, Run, div_up};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use page_map::{Entry, PageMap};
use runs::Runs;
use state::State;
use stretches::Stretches;
use tables::Tables;
pub use top::BreakMode;
use top::Top;

/// Bytes of a granule's record, what the layer above keeps for a granule it holds: a bit for each 16 bytes,
/// and 32.
pub const RECORD: usize = 32 + GRANULE / 16 / 8;

/// Where things are. Set once; copied into every heap.
#[derive(Clone, Copy)]
pub struct Geometry {
    pub base: *mut u8,
    pub window: usize,
    pub map: PageMap,
    pub records: *mut u8,
}

// SAFETY: the pointers lead to the arena's own memory: the map's words are atomics, a record belongs to
// whoever holds its granule.
unsafe impl Send for Geometry {}
// SAFETY: as above.
unsafe impl Sync for Geometry {}

pub struct Arena<O: Os> {
    pub os: O,
    /// The geometry for all, and what the arena's lock guards. Edge START.
    started: Started<State, Geometry>,
    /// Bytes live, and bytes cached, outside the window: the large mappings.
    outside_live: AtomicUsize,
    outside_cached: AtomicUsize,
    /// Size of the arena from which on it asks for huge pages; `usize::MAX` for never.
    huge_from: AtomicUsize,
    /// Dirty memory was above its bound when a run was freed.
    over: AtomicBool,
    /// Dirty memory is above its bound, and none of it is the arena's to purge.
    pressed: AtomicBool,
}

impl<O: Os> Arena<O> {
    pub const fn new(os: O) -> Self {
        Arena {
            os,
            started: Started::nothing(),
            outside_live: AtomicUsize::new(0),
            outside_cached: AtomicUsize::new(0),
            huge_from: AtomicUsize::new(usize::MAX),
            over: AtomicBool::new(false),
            pressed: AtomicBool::new(false),
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

    /// Reserves the tables and chooses the top.
    fn build(&self) -> Option<(State, Geometry)> {
        let page = self.os.page();
        let limit = self.os.address_limit();
        // The tables take a hundredth of the window.
        let mut window = limit.min(WINDOW).next_power_of_two().max(WINDOW_MIN);
        let tables = loop {
            match Tables::reserve(&self.os, window, page) {
                Some(tables) => break tables,
                None if window > WINDOW_MIN => window /= 2,
                None => return None,
            }
        };
        let Some((top, gain)) = Top::start(&self.os, window) else {
            // SAFETY: reserved above, and nobody knows of it.
            unsafe { self.os.unmap(tables.map.cast(), tables.len) };
            return None;
        };
        let base = top.base();
        let map = PageMap::at(tables.map);
        let geometry = Geometry { base, window, map, records: tables.records };
        let mut state = State {
            top,
            runs: Runs::new(),
            chunks: tables.chunks,
            tables_end: 0,
            tables_used: 0,
            stretches: Stretches::new(),
            in_use: 0,
            peak: 0,
            purging: 0,
            purge_skips: 0,
            purge_pause: 0,
            page,
        };
        if let Some(gain) = gain {
            self.accept(&geometry, &mut state, gain);
        }
        Some((state, geometry))
    }

    /// A run of `len` granules at a multiple of `align` granules.
    pub fn alloc_run(&self, len: Granules, align: Granules) -> Option<Run> {
        let geometry = self.start()?;
        let mut guard = self.started.lock();
        let state = guard.as_mut()?;
        let head = loop {
            if let Some(head) = state.take(len, align) {
                break head;
            }
            let want = Granules(len.0.checked_add(align.0 - 1)?);
            let gain = state.top.grow(&self.os, want)?;
            if !self.accept(&geometry, state, gain) {
                return None;
            }
        };
        state.in_use += len.0;
        state.peak = state.peak.max(state.in_use);
        let zeroed = runs::dirty_pages(state.chunks(), head, len) == 0;
        Some(Run { head, len, zeroed })
    }

    /// Grows a run in place by `by` granules, if those behind it are free. Whether the added granules
    /// read as zero is not known.
    pub fn extend_run(&self, head: GranuleIdx, len: Granules, by: Granules) -> bool {
        let mut guard = self.started.lock();
        let Some(state) = guard.as_mut() else { return false };
        let (chunks, runs) = state.parts();
        let done = runs.take_at(chunks, GranuleIdx(head.0 + len.0), by);
        if done {
            state.in_use += by.0;
            state.peak = state.peak.max(state.in_use);
        }
        done
    }

    /// Takes a run back. Each of its granules has at most `touched` bytes from its start that were
    /// written since it was handed out. What that makes too much is purged by `enforce_bound`, which the
    /// caller is to call where it `is_over`, once it holds no lock.
    pub fn free_run(&self, run: Run, touched: Bytes) {
        self.with_state(|state| {
            let pages = div_up(touched.0.min(GRANULE), state.page) as u8;
            state.in_use -= run.len.0;
            let (chunks, runs) = state.parts();
            runs::soil(chunks, run.head, run.len, pages);
            runs.insert(chunks, run.head, run.len);
            if self.excess(state).is_some() {
                // Relaxed: the lock orders it; see `enforce_bound`.
                self.over.store(true, Ordering::Relaxed);
            }
        });
    }

    /// Whether dirty memory passed its bound since it was last enforced.
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
            ((state.in_use as usize) << GRANULE_SHIFT, state.runs.dirty() as usize * state.page)
        });
        let live = in_use + self.outside_live.load(Ordering::Relaxed);
        purge::bound(live).saturating_sub(dirty)
    }

    /// Dirty pages beyond what the purge should leave, if the bound is passed. What is pinned in huge pages
    /// has half the bound more.
    fn excess(&self, state: &mut State) -> Option<u32> {
        let live = ((state.in_use as usize) << GRANULE_SHIFT) + self.outside_live.load(Ordering::Relaxed);
        let bound = purge::bound(live);
        let page = state.page;
        let (chunks, runs) = state.parts();
        let cached = self.outside_cached.load(Ordering::Relaxed);
        let mut dirty = runs.dirty() as usize * page + cached;
        if dirty + runs.pinned() as usize * page > bound + bound / 2 {
            runs.break_units(chunks);
            dirty = runs.dirty() as usize * page + cached;
        }
        (dirty > bound).then(|| div_up(dirty - purge::target(bound), page) as u32)
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

    /// Has the arena ask for huge pages under what it gains beyond its first `bytes`.
    pub fn set_huge_from(&self, bytes: usize) {
        // Relaxed: the value stands alone, and what was gained meanwhile goes without.
        self.huge_from.store(bytes, Ordering::Relaxed);
    }

    /// Whether the last purge ended above the bound, so that what is cached elsewhere should go.
    #[inline]
    pub fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// Purges every free run and lowers the break as far as it goes.
    pub fn purge_all(&self) {
        self.with_state(|state| {
            let (chunks, runs) = state.parts();
            runs.break_units(chunks);
        });
        while self.purge_some(u32::MAX) {}
        self.with_state(|state| self.trim(state));
    }

    fn with_state<R>(&self, f: impl FnOnce(&mut State) -> R) -> Option<R> {
        self.started.lock().as_mut().map(f)
    }

    /// Purges the highest dirty run, or its upper part that holds `pages` dirty pages. False where
    /// there is none, or where the kernel refuses (locked pages do).
    fn purge_some(&self, pages: u32) -> bool {
        let taken = self.with_state(|state| {
            let (chunks, runs) = state.parts();
            let taken = runs.take_dirty(chunks, pages)?;
            state.purging += 1;
            Some(taken)
        });
        let Some((head, len)) = taken.flatten() else { return false };
        let at = self.started().base.wrapping_add((head.0 as usize) << GRANULE_SHIFT);
        // SAFETY: the granules are in no free run and nobody's (Invariant 1): this thread took them out.
        let done = unsafe { self.os.purge(at, (len.0 as usize) << GRANULE_SHIFT) };
        self.with_state(|state| {
            state.purging -= 1;
            state.note_purge(done);
            let (chunks, runs) = state.parts();
            if done {
                runs::clean(chunks, head, len);
            }
            let run = runs.insert(chunks, head, len);
            if done {
                // A run's records may be as many as its pages were: they go too.
                let (tables, page) = (self.tables(self.started(), state), state.page);
                tables.purge_records(&self.os, page, head.0..head.0 + len.0, run);
            }
            self.trim(state);
        });
        done
    }

    #[cfg(test)]
    pub fn hold_lock(&self) -> impl Sized + '_ {
        self.started.lock()
    }

    /// Calls `f` with every granule the arena was given, and its entry.
    pub fn for_each_granule(&self, mut f: impl FnMut(GranuleIdx, Entry)) {
        let Some(geometry) = self.geometry() else { return };
        let stretches = self.with_state(|state| state.stretches).unwrap_or(Stretches::new());
        for stretch in stretches.iter() {
            for granule in stretch {
                // SAFETY: stretches are inside the window.
                f(GranuleIdx(granule), unsafe { geometry.map.get(granule as usize) });
            }
        }
    }

    /// Runs `f` with the lock of the break held: nobody grows the arena meanwhile. `f` gets the
    /// address behind the arena's last byte.
    pub fn with_break_held<R>(&self, f: impl FnOnce(*mut u8) -> R) -> R {
        let guard = self.started.lock();
        let end = guard.as_ref().map_or(core::ptr::null_mut(), |state| {
            state.top.base().wrapping_add((state.top.end().0 as usize) << GRANULE_SHIFT)
        });
        f(end)
    }
}
