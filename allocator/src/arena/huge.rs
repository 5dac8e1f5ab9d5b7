//! When the arena stands on huge pages: while it takes again, in great amounts, what it gave back before.
//!
//! ```text
//!   small pages ── so much taken again that had gone back ──► huge pages under all but the first granules
//!        ▲                                                               │
//!        └── what is free beside something in use is half the bound ─────┘
//! ```
//!
//! A fault for each page is most of what it costs to take a page again; a huge page is one fault for 512.
//! But it is resident as one, and the kernel makes one, by itself and later, of whatever small pages it finds
//! where they were asked for. So an arena that is freed in parts, or that lies idle, must not stand on them.

use super::Arena;
use super::state::State;
use crate::config::{GRANULE_SHIFT, HUGE_PAGE};
use crate::os::Os;
use crate::units::{GranuleIdx, Granules, round_up};

/// Bytes of the arena that have small pages always: no small heap is on huge ones.
const FROM: usize = 8 << 20;

/// Bytes taken again after which huge pages are asked for: the first time, the least and the most.
const AGAIN: usize = 32 << 20;
const AGAIN_MIN: usize = 8 << 20;
const AGAIN_MAX: usize = 1 << 30;

pub struct Huge {
    on: bool,
    /// Bytes of the arena, from its base, that are left out.
    from: usize,
    /// Pages of granules below this one may have gone back.
    gone_below: u32,
    /// Bytes taken again since the last change.
    again: usize,
    /// How many it takes.
    needed: usize,
}

impl Huge {
    pub const fn new() -> Self {
        Huge { on: false, from: FROM, gone_below: 0, again: 0, needed: AGAIN }
    }

    /// Notes that pages went back.
    pub fn give_back(&mut self, end: u32) {
        self.gone_below = self.gone_below.max(end);
    }

    /// Notes granules that were handed out and read as zero. Whether it is time to ask for huge pages.
    pub fn take(&mut self, head: GranuleIdx, len: Granules) -> bool {
        if head.0 >= self.gone_below {
            return false;
        }
        self.again = self.again.saturating_add((len.0 as usize) << GRANULE_SHIFT);
        !self.on && self.again >= self.needed
    }

    /// Huge pages were asked for; `worked` where the kernel has any.
    fn begin(&mut self, worked: bool) {
        self.on = worked;
        self.again = 0;
        if !worked {
            self.needed = usize::MAX;
        }
    }

    /// They were given up. What served for little is asked for later next time.
    fn end(&mut self) {
        let next = if self.again >= self.needed { self.needed / 2 } else { self.needed.saturating_mul(2) };
        (self.on, self.again, self.needed) = (false, 0, next.clamp(AGAIN_MIN, AGAIN_MAX));
    }
}

impl<O: Os> Arena<O> {
    /// Has the arena stand on huge pages beyond its first `bytes`, at once.
    pub fn set_huge_from(&self, bytes: usize) {
        self.with_state(|state| {
            state.huge.from = bytes;
            self.begin_huge(state);
        });
    }

    /// Asks for huge pages under all that the arena has, and will gain, beyond its first bytes.
    pub(super) fn begin_huge(&self, state: &mut State) {
        // A kernel with other pages has other huge ones too.
        let mut worked = state.page == 4096;
        let stretches = state.stretches;
        for stretch in stretches.iter().filter(|_| state.page == 4096) {
            worked &= self.advise_huge(state, stretch.start, stretch.end);
        }
        state.huge.begin(worked);
        if let (true, Some(from)) = (worked, self.huge_start(state)) {
            let (chunks, runs) = state.parts();
            runs.set_units(chunks, from);
        }
    }

    /// Has small pages come under the arena again. Huge ones that are there stay until they are purged.
    pub(super) fn end_huge(&self, state: &mut State) {
        let stretches = state.stretches;
        for stretch in stretches.iter() {
            if let Some((at, len)) = self.huge_part(state, stretch.start, stretch.end) {
                // SAFETY: the arena's own.
                unsafe { self.os.advise_small(at, len) };
            }
        }
        state.huge.end();
        let (chunks, runs) = state.parts();
        runs.set_units(chunks, u32::MAX);
    }

    /// Asks for huge pages under what was gained, if the rest is on them.
    pub(super) fn extend_huge(&self, state: &mut State, from: u32, to: u32) {
        if state.huge.on {
            self.advise_huge(state, from, to);
        }
    }

    /// False where the kernel refuses.
    fn advise_huge(&self, state: &State, from: u32, to: u32) -> bool {
        self.huge_part(state, from, to).is_none_or(|(at, len)| {
            // SAFETY: the arena's own.
            unsafe { self.os.advise_huge(at, len) }
        })
    }

    /// The first granule that is to be on huge pages, if that is in the window.
    fn huge_start(&self, state: &State) -> Option<u32> {
        let base = state.top.base().addr();
        let start = round_up(base.checked_add(state.huge.from)?, HUGE_PAGE)? - base;
        u32::try_from(start >> GRANULE_SHIFT).ok()
    }

    /// The bytes of granules `from..to` that are to be on huge pages.
    fn huge_part(&self, state: &State, from: u32, to: u32) -> Option<(*mut u8, usize)> {
        let start = self.huge_start(state)?.max(from);
        let at = state.top.base().wrapping_add((start as usize) << GRANULE_SHIFT);
        (start < to).then(|| (at, ((to - start) as usize) << GRANULE_SHIFT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::sim::{Call, Sim};
    use crate::units::Bytes;

    fn take_again(huge: &mut Huge, bytes: usize) -> bool {
        huge.take(GranuleIdx(0), Granules((bytes >> GRANULE_SHIFT) as u32))
    }

    #[test]
    fn only_what_had_gone_back_counts() {
        let mut huge = Huge::new();
        assert!(!take_again(&mut huge, 1 << 30), "nothing has gone back yet");
        huge.give_back(100);
        assert!(!huge.take(GranuleIdx(100), Granules(1 << 14)), "above what has");
        assert!(!take_again(&mut huge, AGAIN / 2));
        assert!(take_again(&mut huge, AGAIN / 2));
    }

    #[test]
    fn what_serves_comes_sooner_and_what_does_not_later() {
        let mut huge = Huge::new();
        huge.give_back(100);
        for _ in 0..4 {
            huge.begin(true);
            assert!(!take_again(&mut huge, 1 << 30), "they are there already");
            huge.end();
        }
        assert_eq!(huge.needed, AGAIN_MIN);
        assert!(take_again(&mut huge, AGAIN_MIN));
        for _ in 0..40 {
            huge.begin(true);
            huge.end();
        }
        assert_eq!(huge.needed, AGAIN_MAX);
    }

    #[test]
    fn an_arena_that_has_nothing_yet_can_be_asked() {
        let arena = Arena::new(Sim::new());
        arena.start().expect("memory");
        arena.set_huge_from(0);
        let run = arena.alloc_run(Granules(100), Granules(1)).expect("memory");
        assert!(arena.os.calls(Call::AdviseHuge) > 0);
        arena.free_run(run, Bytes(1));
        arena.purge_all();
        assert_eq!(arena.figures().unwrap().dirty, Bytes(0));
    }

    #[test]
    fn a_kernel_without_huge_pages_is_not_asked_again() {
        let mut huge = Huge::new();
        huge.give_back(100);
        huge.begin(false);
        assert!((0..100).all(|_| !take_again(&mut huge, 1 << 30)));
    }
}
