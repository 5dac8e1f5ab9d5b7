//! The top of the arena: how it grows, in each of the ways to own one contiguous range.
//!
//! ```text
//! owned     [heap ████████████]→ brk                      the break is ours
//! fenced    [heap ████████████]→ brk ┃fence, PROT_NONE…   libc's malloc beside us: the fence keeps
//!                                                         its sbrk from passing; ours opens its foot
//! committed [heap ████████████│▒▒▒▒▒→┃fence…              with threads: mprotect moves the foot
//! reserved  [▒▒▒▒▒▒▒▒→ reservation, PROT_NONE…            no break to be had: a break of our own
//! scattered … ▒▒▒▒    ▒▒▒▒→                               everything else was refused: mappings
//! ```

use crate::config::{GRANULE, GRANULE_SHIFT, GROW_FIRST, GROW_MAX, HUGE_PAGE, WINDOW_MIN};
use crate::os::{BreakOwner, Os};
use crate::units::{GranuleIdx, Granules, round_down, round_up};
use core::sync::atomic::{Ordering, compiler_fence};

/// How the arena grows at present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BreakMode {
    /// The process's break is ours, by brk.
    Owned,
    /// By brk, behind a fence that is opened for it: while the process has one thread.
    Fenced,
    /// By mprotect of the fence's foot, contiguous with the break.
    Committed,
    /// By mprotect of a reservation: brk-style, not brk.
    Reserved,
    /// By mappings at addresses of our choice.
    Scattered,
}

impl BreakMode {
    /// The mode in a word, for people.
    pub fn name(self) -> &'static str {
        match self {
            BreakMode::Owned => "owned",
            BreakMode::Fenced => "fenced",
            BreakMode::Committed => "committed",
            BreakMode::Reserved => "reserved",
            BreakMode::Scattered => "scattered",
        }
    }
}

pub struct Top {
    /// The way that is tried first.
    mode: BreakMode,
    /// The way that the last growth took.
    live: BreakMode,
    base: *mut u8,
    /// Bytes from `base` that can be described at most.
    window: usize,
    /// Offset behind the last granule the arena was given.
    end: usize,
    /// Offset from which on the arena's end is made of mappings of its own; beyond `end` if it is not.
    mapped_from: usize,
    /// What is left of the fence or the reservation. At no instant is there anything between the arena's end
    /// and the foot that is not ready: a fork's child commits from the foot on, and twice does no harm.
    foot: *mut u8,
    fence_end: *mut u8,
    step: usize,
}

/// Granules that the arena gained.
pub struct Gain {
    pub head: GranuleIdx,
    pub len: Granules,
}

impl Top {
    /// Chooses the way and the base, and what stands ready at once: the first step of a fenced break,
    /// which is built on it.
    pub fn start<O: Os>(os: &O, window: usize) -> Option<(Top, Option<Gain>)> {
        let at = |mode, base: *mut u8, end, (foot, len): (*mut u8, usize)| Top {
            mode,
            live: mode,
            base,
            window,
            end,
            mapped_from: usize::MAX,
            foot,
            fence_end: foot.wrapping_add(len),
            step: GROW_FIRST,
        };
        let owner = os.break_owner();
        let brk = os.current_break();
        if owner != BreakOwner::Foreign && !brk.is_null() {
            let base = brk.wrapping_sub(brk.addr() % GRANULE);
            let used = if base == brk { 0 } else { GRANULE };
            if owner == BreakOwner::Ours {
                return Some((at(BreakMode::Owned, base, used, (core::ptr::null_mut(), 0)), None));
            }
            if let Some((end, fence)) = build_fence(os, base, brk, window) {
                return Some((at(BreakMode::Fenced, base, end, fence), Some(gain(used, end))));
            }
        }
        let (reserved, len) = reserve(os, window)?;
        let skip = reserved.addr().next_multiple_of(GRANULE) - reserved.addr();
        let base = reserved.wrapping_add(skip);
        Some((at(BreakMode::Reserved, base, 0, (base, len - skip)), None))
    }

    /// The way the arena last grew.
    pub fn live_mode(&self) -> BreakMode {
        self.live
    }

    pub fn base(&self) -> *mut u8 {
        self.base
    }

    /// Whether the process's break is this arena's.
    pub fn owns_break(&self) -> bool {
        self.mode == BreakMode::Owned
    }

    /// Granules from the base to the arena's end, holes included.
    pub fn end(&self) -> Granules {
        Granules((self.end >> GRANULE_SHIFT) as u32)
    }

    /// Gains at least `want`, by whatever still works: first a whole step, then only what is wanted,
    /// then the next way.
    pub fn grow<O: Os>(&mut self, os: &O, want: Granules) -> Option<Gain> {
        let want = (want.0 as usize) << GRANULE_SHIFT;
        loop {
            for len in [want.max(self.step), want] {
                let gained = match self.mode {
                    BreakMode::Owned => self.grow_owned(os, len),
                    BreakMode::Fenced => self.grow_fenced(os, len),
                    BreakMode::Committed | BreakMode::Reserved => self.grow_committed(os, len),
                    BreakMode::Scattered => self.grow_scattered(os, len),
                };
                if gained.is_some() {
                    self.live = self.mode;
                    self.step = (self.step * 2).min(GROW_MAX);
                    return gained;
                }
            }
            // A way that was refused is tried again next time, unless it can never work again.
            match self.mode {
                BreakMode::Fenced if self.close_gap(os) => self.mode = BreakMode::Committed,
                BreakMode::Committed | BreakMode::Reserved if self.fence_left() >= want => return None,
                BreakMode::Committed | BreakMode::Reserved => self.leave_fence(),
                BreakMode::Fenced | BreakMode::Owned | BreakMode::Scattered => {
                    return self.grow_scattered(os, want);
                }
            }
        }
    }

    /// The fence is used up: what is left of it stays reserved and untouched, and the arena goes on
    /// above it.
    fn leave_fence(&mut self) {
        // In this order: a mapping that meets the fence goes on above it.
        self.mode = BreakMode::Scattered;
        in_order();
        self.end = (self.fence_end.addr() - self.base.addr()).next_multiple_of(GRANULE);
    }

    fn fence_left(&self) -> usize {
        self.fence_end.addr() - self.foot.addr()
    }

    fn grow_owned<O: Os>(&mut self, os: &O, len: usize) -> Option<Gain> {
        let brk = os.current_break();
        // Another owner may have moved it meanwhile: what lies between is not ours.
        let from = brk.addr().checked_sub(self.base.addr())?.next_multiple_of(GRANULE).max(self.end);
        let to = self.step_end(from, len)?;
        let by = self.base.addr() + to - brk.addr();
        let before = os.grow_break(by)?;
        let at = before.addr() - self.base.addr();
        // Normally `before` is the break just read; where somebody was faster, the step lies higher.
        let (from, to) = (at.next_multiple_of(GRANULE).max(self.end), round_down(at + by, GRANULE));
        if to <= from || to > self.window {
            // SAFETY: these bytes were gained a moment ago and nothing uses them.
            unsafe { os.shrink_break(by) };
            return None;
        }
        self.mapped_from = usize::MAX;
        in_order();
        self.end = to;
        Some(gain(from, to))
    }

    fn grow_fenced<O: Os>(&mut self, os: &O, len: usize) -> Option<Gain> {
        if !os.single_threaded() {
            return None;
        }
        let to = self.step_end(self.end, len)?;
        let by = to - self.end;
        let foot = self.foot;
        // The kernel keeps a page free above the break, and the fence begins behind it.
        if self.fence_left() <= by || os.current_break().addr() != self.base.addr() + self.end {
            return None;
        }
        // SAFETY: the foot of our own fence, which nothing uses.
        if !unsafe { os.unmap(foot, by) } {
            return None;
        }
        if os.grow_break(by).is_none() {
            // Close it again. Where that fails the fence is shorter, and its gap too wide to close.
            if !os.reserve_at(foot, by) {
                self.foot = foot.wrapping_add(by);
            }
            return None;
        }
        self.foot = foot.wrapping_add(by);
        let from = self.end;
        self.end = to;
        Some(gain(from, to))
    }

    /// Makes the page between the break and the fence ours, so that the range is contiguous.
    fn close_gap<O: Os>(&self, os: &O) -> bool {
        let brk = self.base.wrapping_add(self.end);
        let gap = self.foot.addr() - brk.addr();
        gap == os.page() && os.map_at(brk, gap)
    }

    fn grow_committed<O: Os>(&mut self, os: &O, len: usize) -> Option<Gain> {
        let to = self.step_end(self.end, len)?;
        let by = self.base.addr() + to - self.foot.addr();
        if by > self.fence_left() {
            return None;
        }
        // SAFETY: the foot of our own reservation.
        if !unsafe { os.commit(self.foot, by) } {
            return None;
        }
        let from = self.end;
        self.end = to;
        in_order();
        self.foot = self.foot.wrapping_add(by);
        Some(gain(from, to))
    }

    /// A mapping as near above the end as one can be had.
    fn grow_scattered<O: Os>(&mut self, os: &O, len: usize) -> Option<Gain> {
        let mut skip = 0;
        loop {
            let from = self.end.checked_add(skip)?;
            let to = from.checked_add(len)?;
            if to > self.window {
                return None;
            }
            if os.map_at(self.base.wrapping_add(from), len) {
                self.live = BreakMode::Scattered;
                if skip > 0 || self.mapped_from > self.end {
                    self.mapped_from = from;
                }
                self.end = to;
                return Some(gain(from, to));
            }
            skip = (skip * 2).max(HUGE_PAGE);
        }
    }

    /// Gives the last `len` granules back: the break is lowered, a fence or a reservation moves down over
    /// them, a mapping goes. `below` is where the arena ends then, holes left out.
    ///
    /// # Safety
    /// Nothing uses the granules, whose pages were purged.
    pub unsafe fn shrink<O: Os>(&mut self, os: &O, len: Granules, below: Granules) -> bool {
        let by = (len.0 as usize) << GRANULE_SHIFT;
        let at = self.base.wrapping_add(self.end - by);
        // SAFETY: the bytes are the arena's own and free, and given back the way they were gained: by the
        // break only where it ends with them, by unmapping only what was mapped.
        let done = unsafe {
            match self.mode {
                BreakMode::Owned if os.current_break() == at.wrapping_add(by) => os.shrink_break(by),
                BreakMode::Owned | BreakMode::Scattered => {
                    self.end - by >= self.mapped_from && os.unmap(at, by)
                }
                BreakMode::Committed | BreakMode::Reserved if self.foot == at.wrapping_add(by) => {
                    os.uncommit(at, by)
                }
                _ => false,
            }
        };
        if done {
            let end = (below.0 as usize) << GRANULE_SHIFT;
            if matches!(self.mode, BreakMode::Committed | BreakMode::Reserved) {
                self.foot = self.base.wrapping_add(end);
            }
            in_order();
            self.end = end;
            self.step = GROW_FIRST;
        }
        done
    }

    /// Where a step of `len` bytes from `from` is to end, inside the window.
    fn step_end(&self, from: usize, len: usize) -> Option<usize> {
        let mut to = from.checked_add(len)?;
        if len >= HUGE_PAGE && len >= self.step {
            to = round_up(self.base.addr() + to, HUGE_PAGE)? - self.base.addr();
        }
        (to <= self.window).then_some(to)
    }
}

/// A fork's copy sees one thread's stores in program order, if the compiler leaves them in it.
fn in_order() {
    compiler_fence(Ordering::SeqCst);
}

fn gain(from: usize, to: usize) -> Gain {
    Gain {
        head: GranuleIdx((from >> GRANULE_SHIFT) as u32),
        len: Granules(((to - from) >> GRANULE_SHIFT) as u32),
    }
}

/// Moves the break by a first step and puts a fence above it. The arena's end and the fence.
fn build_fence<O: Os>(
    os: &O,
    base: *mut u8,
    brk: *mut u8,
    window: usize,
) -> Option<(usize, (*mut u8, usize))> {
    let end = (brk.addr() - base.addr()).next_multiple_of(GRANULE) + GROW_FIRST;
    let by = base.addr() + end - brk.addr();
    let before = os.grow_break(by)?;
    let foot = base.wrapping_add(end + os.page());
    let mut len = fence_len(os, window);
    if before == brk {
        while len >= WINDOW_MIN {
            if os.reserve_at(foot, len) {
                return Some((end, (foot, len)));
            }
            len /= 2;
        }
    }
    // SAFETY: gained a moment ago by the only thread, and nothing uses it.
    unsafe { os.shrink_break(by) };
    None
}

fn reserve<O: Os>(os: &O, window: usize) -> Option<(*mut u8, usize)> {
    let mut len = fence_len(os, window);
    while len >= WINDOW_MIN {
        if let Some(at) = os.reserve(len, c"brkmap: reserved") {
            return Some((at, len));
        }
        len /= 2;
    }
    None
}

/// All of the window; under RLIMIT_AS an eighth of what the limit leaves for everything.
fn fence_len<O: Os>(os: &O, window: usize) -> usize {
    match os.address_limit() {
        usize::MAX => window,
        limit => round_down(limit / 8, GRANULE).max(WINDOW_MIN).min(window),
    }
}
