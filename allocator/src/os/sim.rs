// long: one system, each of its calls with its checks.
//! A simulated system for the tests: memory from the test's own allocator, a break that moves inside
//! it, and refusals by script. It runs under Miri, which a real brk does not.
//!
//! ```text
//!   [ break's range │ regions' ranges │ mappings, each an allocation of its own ]
//! ```
//!
//! It checks what the kernel would forgive or punish later: purges and unmaps of what is not mapped.
//! Unmapped ranges of an arena stay allocated until the system is
//! dropped, so that a late access shows as a wrong value, not as a crash of the test.

use super::calls::{self, Calls, Outcome};
use super::{BreakOwner, Os};
use crate::base::config::{BLOCK_GRANULES, GRANULE, GROW_FIRST};
use crate::base::why::{Reason, Why};
use core::sync::atomic::AtomicUsize;
use std::alloc::Layout;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Call {
    GrowBreak,
    ShrinkBreak,
    Purge,
    AdviseHuge,
    AdviseSmall,
    Map,
    MapNear,
    MakePlain,
    Unmap,
    Remap,
}

struct State {
    /// The break's range: start, the break as an offset, and how far it may go.
    heap: *mut u8,
    brk: usize,
    brk_limit: usize,
    /// Where the first long mapping is put, as an offset like the break, if it is put there.
    first_region: Option<usize>,
    /// Every mapping: start address → length. Adjacent ones are not merged.
    maps: BTreeMap<usize, usize>,
    blocks: Vec<(*mut u8, Layout)>,
    calls: BTreeMap<Call, usize>,
    refuse_all: bool,
    thread: u64,
    ended: Vec<u64>,
    asked: usize,
    /// Refuse the calls of these kinds from the n-th on, that many.
    refusals: Vec<(Call, usize, usize)>,
}

pub struct Sim {
    state: Mutex<State>,
    pub owner: BreakOwner,
    pub alone: bool,
    pub limit: usize,
    /// No hint is honoured, and each mapping is far from the others.
    pub scatter: bool,
    /// Bytes of addresses that mappings may have in all.
    pub room: usize,
    pub page: usize,
    /// From which address on mappings are put that are for blocks, and that have no memory here; 0 where they
    /// have some.
    high: usize,
    /// What the clock says.
    pub millis: AtomicUsize,
    /// How often somebody was woken.
    pub wakes: AtomicU32,
    made: Calls,
    /// What `stack` answers: one return address.
    pub site: AtomicUsize,
}

// SAFETY: the pointers are the system's own allocations, used under the mutex.
unsafe impl Send for State {}

const BLOCK: usize = BLOCK_GRANULES as usize * GRANULE;

/// Bytes of the break's range and what lies above it in one allocation.
pub const RANGE: usize = if cfg!(miri) { 8 << 20 } else { 64 << 20 };

impl Sim {
    pub fn new() -> Self {
        Self::with_owner(BreakOwner::Ours)
    }

    pub fn with_owner(owner: BreakOwner) -> Self {
        Self::with_break_at(owner, 0)
    }

    /// The break begins at so many bytes of a block of the arena, a multiple of the granule.
    pub fn with_break_at(owner: BreakOwner, offset: usize) -> Self {
        Self::with_range(owner, offset, RANGE)
    }

    fn with_range(owner: BreakOwner, offset: usize, len: usize) -> Self {
        let layout = Layout::from_size_align(offset + len, BLOCK).unwrap();
        // SAFETY: the layout is not empty.
        let block = unsafe { std::alloc::alloc_zeroed(layout) };
        assert!(!block.is_null());
        let _ = block.expose_provenance();
        let heap = block.wrapping_add(offset);
        let state = State {
            heap,
            // Not at a granule, as on a real system.
            brk: 4096 * 3,
            brk_limit: RANGE,
            first_region: None,
            maps: BTreeMap::new(),
            blocks: vec![(block, layout)],
            calls: BTreeMap::new(),
            refuse_all: false,
            thread: 1,
            ended: Vec::new(),
            asked: 0,
            refusals: Vec::new(),
        };
        // The limit keeps the window, and so the tables, small enough for a test.
        Sim {
            state: Mutex::new(state),
            owner,
            alone: true,
            limit: RANGE,
            scatter: false,
            room: usize::MAX,
            page: 4096,
            high: 0,
            millis: AtomicUsize::new(0),
            wakes: AtomicU32::new(0),
            made: Calls::new(),
            site: AtomicUsize::new(1),
        }
    }

    /// A library's system: its first region begins with a block of the arena, and there is room below.
    pub fn with_first_region_at_a_block() -> Self {
        let mut sim = Self::with_range(BreakOwner::Foreign, BLOCK - RANGE, RANGE + 2 * GROW_FIRST);
        let state = sim.state.get_mut().unwrap();
        (state.brk, state.first_region) = (0, Some(RANGE));
        sim
    }

    /// A library's system that puts mappings for blocks at an address or above: where they are can be seen,
    /// and no byte of them.
    pub fn with_mappings_at(high: usize) -> Self {
        let mut sim = Self::with_owner(BreakOwner::Foreign);
        sim.high = high;
        sim
    }

    /// Where a mapping without memory is put: there if it is free, else above all others.
    fn place(&self, state: &State, hint: usize, len: usize) -> usize {
        let free = !state.maps.iter().any(|(&at, &length)| at < hint + len && at + length > hint);
        let there = state.maps.range(self.high..self.high + (1 << 36));
        let end = there.map(|(&at, &length)| at + length).max().unwrap_or(0);
        if hint != 0 && free { hint } else { end.max(self.high).next_multiple_of(self.page) }
    }

    fn is_without_memory(&self, why: Why) -> bool {
        self.high != 0 && !matches!(why.reason, Reason::Tables | Reason::Heaps)
    }

    pub fn refuse_everything(&self, refuse: bool) {
        self.state.lock().unwrap().refuse_all = refuse;
    }

    /// Refuses `count` calls of a kind after `after` more of them.
    pub fn refuse(&self, call: Call, after: usize, count: usize) {
        let mut state = self.state.lock().unwrap();
        let seen = state.calls.get(&call).copied().unwrap_or(0);
        state.refusals.push((call, seen + after, seen + after + count));
    }

    /// Takes every refusal back.
    pub fn forgive(&self) {
        self.state.lock().unwrap().refusals.clear();
    }

    pub fn calls(&self, call: Call) -> usize {
        self.state.lock().unwrap().calls.get(&call).copied().unwrap_or(0)
    }

    /// Bytes of all mappings.
    pub fn mapped_bytes(&self) -> usize {
        self.state.lock().unwrap().maps.values().sum()
    }

    /// The calls that follow are of the thread of this number.
    pub fn run_as(&self, thread: u64) {
        self.state.lock().unwrap().thread = thread;
    }

    pub fn end_thread(&self, thread: u64) {
        self.state.lock().unwrap().ended.push(thread);
    }

    /// How often it was asked whether a thread has ended.
    pub fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    /// The break's bytes in use.
    pub fn brk_bytes(&self) -> usize {
        self.state.lock().unwrap().brk
    }

    /// Somebody's mapping lies at `above` bytes above the break.
    pub fn block_break(&self, above: usize) {
        let mut state = self.state.lock().unwrap();
        state.brk_limit = state.brk + above;
    }

    /// Somebody else moves the break, unseen by the arena.
    pub fn foreign_sbrk(&self, by: usize) {
        self.state.lock().unwrap().brk += by;
    }

    /// Counts a call by what comes of it.
    fn tell<T: Given>(&self, call: calls::Call, len: usize, why: Why, make: impl FnOnce() -> T) -> T {
        let given = make();
        self.made.note(call, why.reason, len, given.outcome());
        given
    }

    /// As `enter`, for a call that takes `len` bytes of addresses.
    fn enter_for(&self, call: Call, len: usize) -> Option<std::sync::MutexGuard<'_, State>> {
        let state = self.enter(call)?;
        let taken: usize = state.maps.values().sum();
        (taken + len <= self.room).then_some(state)
    }

    fn enter(&self, call: Call) -> Option<std::sync::MutexGuard<'_, State>> {
        let mut state = self.state.lock().unwrap();
        let number = state.calls.entry(call).or_insert(0);
        let at = *number;
        *number += 1;
        let refused = state.refuse_all
            || state.refusals.iter().any(|&(kind, from, to)| kind == call && (from..to).contains(&at));
        (!refused).then_some(state)
    }
}

/// What a call gives.
trait Given {
    fn outcome(&self) -> Outcome;
}

impl Given for bool {
    fn outcome(&self) -> Outcome {
        if *self { Outcome::Done } else { Outcome::Refused }
    }
}

impl<T> Given for Option<T> {
    fn outcome(&self) -> Outcome {
        self.is_some().outcome()
    }
}

impl State {
    fn allocate(&mut self, len: usize) -> *mut u8 {
        let layout = Layout::from_size_align(len, 4096).unwrap();
        // SAFETY: the layout is not empty.
        let at = unsafe { std::alloc::alloc_zeroed(layout) };
        assert!(!at.is_null());
        let _ = at.expose_provenance();
        self.blocks.push((at, layout));
        at
    }

    /// Whether [at, at + len) lies inside mappings.
    fn covered(&self, at: usize, len: usize) -> bool {
        let mut from = at;
        let heap = self.heap.addr()..self.heap.addr() + self.brk;
        while from < at + len {
            // A range may begin in the break's memory and go on in a mapping right above it.
            if heap.contains(&from) {
                from = heap.end;
                continue;
            }
            match self.maps.range(..=from).next_back() {
                Some((&start, &length)) if start + length > from => from = start + length,
                _ => return false,
            }
        }
        true
    }

    /// Cuts mappings so that [at, at + len) is made of whole ones, and removes those.
    fn carve(&mut self, at: usize, len: usize) {
        for edge in [at, at + len] {
            if let Some((&start, &length)) = self.maps.range(..edge).next_back()
                && start + length > edge
            {
                self.maps.insert(start, edge - start);
                self.maps.insert(edge, start + length - edge);
            }
        }
        self.maps.retain(|&start, _| start < at || start >= at + len);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        for &(at, layout) in &self.blocks {
            // SAFETY: allocated with this layout, freed once.
            unsafe { std::alloc::dealloc(at, layout) };
        }
    }
}

// SAFETY: ready memory is inside allocations of this system, each range handed out once until it comes
// back.
unsafe impl Os for Sim {
    fn made(&self) -> &Calls {
        &self.made
    }

    fn page(&self) -> usize {
        self.page
    }

    fn address_limit(&self) -> usize {
        self.limit
    }

    fn wait(&self, word: &AtomicU32, while_it_is: u32, _millis: Option<u32>) {
        // Who waits for a thread that is not there would wait for ever.
        assert_ne!(word.load(Ordering::Relaxed), while_it_is, "nobody wakes in a simulated system");
    }

    fn wake(&self, _word: &AtomicU32) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
    }

    fn reach(&self) -> usize {
        self.limit
    }

    fn break_owner(&self) -> BreakOwner {
        self.owner
    }

    fn single_threaded(&self) -> bool {
        self.alone
    }

    fn micros(&self) -> u64 {
        0
    }

    fn millis(&self) -> usize {
        self.millis.load(Ordering::Relaxed)
    }

    fn tell_sample(&self, _block: *mut u8, _bytes: usize, _stands_for: usize) {}

    fn tell_free(&self, _block: *mut u8) {}

    fn nanos_since_1970(&self) -> u64 {
        0
    }

    fn stack(&self, into: &mut [usize]) -> usize {
        into[0] = self.site.load(Ordering::Relaxed);
        1
    }

    fn have_all_threads_see(&self) {}

    fn thread(&self) -> u64 {
        self.state.lock().unwrap().thread
    }

    fn has_ended(&self, thread: u64) -> bool {
        let mut state = self.state.lock().unwrap();
        state.asked += 1;
        state.ended.contains(&thread)
    }

    fn current_break(&self) -> usize {
        let state = self.state.lock().unwrap();
        state.heap.addr() + state.brk
    }

    fn grow_break(&self, by: usize, why: Why) -> Option<*mut u8> {
        self.tell(calls::Call::Brk, by, why, || {
            let mut state = self.enter(Call::GrowBreak)?;
            let (start, end) = (state.heap.addr() + state.brk, state.heap.addr() + state.brk + by);
            let in_the_way = state.maps.iter().any(|(&at, &len)| at < end + 4096 && at + len > start);
            if state.brk + by > state.brk_limit || in_the_way {
                return None;
            }
            let before = state.heap.wrapping_add(state.brk);
            // SAFETY: inside the range's allocation, above the break: nobody's.
            unsafe { before.write_bytes(0, by) };
            state.brk += by;
            Some(before)
        })
    }

    unsafe fn shrink_break(&self, by: usize, why: Why) -> bool {
        self.tell(calls::Call::Brk, by, why, || {
            let Some(mut state) = self.enter(Call::ShrinkBreak) else { return false };
            assert!(by <= state.brk, "the break was lowered below its start");
            state.brk -= by;
            true
        })
    }

    unsafe fn reread_break(&self) {}

    unsafe fn advise_huge(&self, at: *mut u8, len: usize, why: Why) -> bool {
        self.tell(calls::Call::Madvise, len, why, || {
            let Some(state) = self.enter(Call::AdviseHuge) else { return false };
            assert!(state.covered(at.addr(), len), "advice about what is not mapped");
            true
        })
    }

    unsafe fn advise_small(&self, at: *mut u8, len: usize, why: Why) -> bool {
        self.tell(calls::Call::Madvise, len, why, || {
            let Some(state) = self.enter(Call::AdviseSmall) else { return false };
            assert!(state.covered(at.addr(), len), "advice about what is not mapped");
            true
        })
    }

    unsafe fn purge(&self, at: *mut u8, len: usize, why: Why) -> bool {
        self.tell(calls::Call::Madvise, len, why, || {
            let Some(state) = self.enter(Call::Purge) else { return false };
            assert!(state.covered(at.addr(), len), "purge of what is not mapped");
            if !self.is_without_memory(why) {
                // SAFETY: ready memory of the caller, which needs nothing in it.
                unsafe { at.write_bytes(0, len) };
            }
            true
        })
    }

    fn map(&self, len: usize, why: Why) -> Option<*mut u8> {
        self.tell(calls::Call::Mmap, len, why, || {
            let mut state = self.enter_for(Call::Map, len)?;
            if self.is_without_memory(why) {
                let at = self.place(&state, 0, len);
                state.maps.insert(at, len);
                return Some(std::ptr::without_provenance_mut(at));
            }
            let named = state.first_region.take_if(|_| len >= GROW_FIRST);
            let at = match named {
                Some(offset) => state.heap.wrapping_add(offset),
                None => state.allocate(len),
            };
            state.maps.insert(at.addr(), len);
            Some(at)
        })
    }

    fn map_near(&self, hint: usize, len: usize, why: Why) -> Option<*mut u8> {
        self.tell(calls::Call::Mmap, len, why, || {
            let mut state = self.enter_for(Call::MapNear, len)?;
            if self.is_without_memory(why) {
                let at = self.place(&state, hint, len);
                state.maps.insert(at, len);
                return Some(std::ptr::without_provenance_mut(at));
            }
            let end = hint + len;
            let free = !state.maps.iter().any(|(&at, &length)| at < end && at + length > hint);
            let heap = state.heap.addr();
            // Room above the break is the only one that can be had by name.
            let at = match !self.scatter && free && hint >= heap + state.brk && end <= heap + RANGE {
                true => state.heap.wrapping_add(hint - heap),
                false => state.allocate(len),
            };
            state.maps.insert(at.addr(), len);
            Some(at)
        })
    }

    unsafe fn unmap(&self, at: *mut u8, len: usize, why: Why) -> bool {
        self.tell(calls::Call::Munmap, len, why, || {
            let Some(mut state) = self.enter(Call::Unmap) else { return false };
            assert!(state.covered(at.addr(), len), "unmap of what is not mapped");
            state.carve(at.addr(), len);
            true
        })
    }

    unsafe fn make_plain(&self, at: *mut u8, len: usize, why: Why) -> bool {
        self.tell(calls::Call::Mprotect, len, why, || {
            let Some(state) = self.enter(Call::MakePlain) else { return false };
            assert!(state.covered(at.addr(), len), "a change of what is not mapped");
            true
        })
    }

    fn resident(&self, at: *mut u8, len: usize) -> usize {
        assert!(at.addr() > 0);
        len
    }

    unsafe fn remap(&self, at: *mut u8, old: usize, new: usize, why: Why) -> Option<*mut u8> {
        self.tell(calls::Call::Mremap, new.abs_diff(old), why, || {
            let mut state = self.enter(Call::Remap)?;
            assert!(state.covered(at.addr(), old), "remap of what is not mapped");
            state.carve(at.addr(), old);
            let moved = state.allocate(new);
            // SAFETY: two allocations, the old one at least as long as what is copied.
            unsafe { moved.copy_from_nonoverlapping(at, old.min(new)) };
            state.maps.insert(moved.addr(), new);
            Some(moved)
        })
    }
}
