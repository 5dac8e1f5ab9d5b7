//! Windows: stretches of addresses whose part of the page map is flat, so that a free finds its word by one
//! test and one load. A window is a test and no reservation: what is mapped is the map behind it, readable
//! zeros, 4 bytes a granule.
//!
//! ```text
//!   addresses   …│ break → │ region │ … others' … │ region │…       │ region, far away │…
//!   windows      ╰─ 1: 1 GiB ─╯                                      ╰─ 3: 1 GiB ─╯
//!                ╰─ 2: 16 GiB, once the arena grew beyond the first ─────╯
//! ```
//!
//! Every thread heap has a copy of the window that was newest when it last looked, so windows are never
//! unmade, and an entry is written into each one that shows its granule. What no window shows has its words
//! in its block.
//!
//! Edge SHOWN of `sync/appended.rs`: who reads a window reads its map as it was filled, or later.
#![allow(unsafe_code)]

use super::block::BLOCK;
use super::page_map::PageMap;
use crate::base::config::{GRANULE_SHIFT, WINDOW_FIRST, WINDOW_MAX};
use crate::base::units::{round_down, round_up};
use crate::base::why::Why;
use crate::os::Os;
use crate::sync::appended::Appended;
use core::ops::Range;

/// Windows that there can be. The last of them may be far from what comes then: that is served all the same.
const WINDOWS: usize = 8;
/// A window becomes so many times as long, if it then shows what it did not.
const GROWTH: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The address of its first byte.
    pub start: usize,
    pub granules: usize,
    pub map: PageMap,
}

impl Window {
    pub const NONE: Window = Window { start: 0, granules: 0, map: PageMap::NONE };

    /// The place of an address in the window's map.
    #[inline]
    pub fn place(&self, addr: usize) -> Option<usize> {
        let place = addr.wrapping_sub(self.start) >> GRANULE_SHIFT;
        (place < self.granules).then_some(place)
    }

    fn shows(&self, addrs: &Range<usize>) -> bool {
        self.place(addrs.start).is_some() && self.place(addrs.end - 1).is_some()
    }

    fn addrs(&self) -> Range<usize> {
        self.start..self.start + (self.granules << GRANULE_SHIFT)
    }
}

/// Where the arena's next gains are likely to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    Up,
    Down,
}

pub struct Windows(Appended<Window, WINDOWS>);

impl Windows {
    pub const fn none() -> Self {
        Windows(Appended::new())
    }

    /// The newest window; one that shows nothing before the first.
    #[inline]
    pub fn newest(&self) -> Window {
        self.0.last().unwrap_or(Window::NONE)
    }

    /// The window that shows an address, and its place there.
    pub fn find(&self, addr: usize) -> Option<(Window, usize)> {
        self.iter().find_map(|window| Some((window, window.place(addr)?)))
    }

    /// All windows, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = Window> {
        self.0.iter()
    }

    /// A window that shows `addrs`, not yet one of these: to be filled, and then added. None where one of
    /// these shows them, and where there can be no more.
    ///
    /// # Errors
    /// Where there is no memory for its map, or no room for one more.
    pub fn plan<O: Os>(
        &self,
        os: &O,
        addrs: &Range<usize>,
        to: Direction,
        why: Why,
    ) -> Result<Option<Window>, ()> {
        if self.iter().any(|window| window.shows(addrs)) {
            return Ok(None);
        }
        if self.0.is_full() {
            return Err(());
        }
        let (start, len) = extent(self.iter().next(), addrs, to);
        let granules = len >> GRANULE_SHIFT;
        let map = os.map(round_up(granules * size_of::<u32>(), os.page()).ok_or(())?, why).ok_or(())?;
        Ok(Some(Window { start, granules, map: PageMap::at(map.cast()) }))
    }

    /// Adds a window that was planned.
    ///
    /// # Safety
    /// The caller holds the arena's lock.
    pub unsafe fn add(&self, window: Window) {
        // SAFETY: as the caller vouches: one at a time.
        unsafe { self.0.push(window) };
    }
}

/// Where a window is to start that shows `addrs`, and its length: the newest one made longer, if it then
/// shows them too, or one of its own.
fn extent(newest: Option<Window>, addrs: &Range<usize>, to: Direction) -> (usize, usize) {
    let (low, high) = (round_down(addrs.start, BLOCK), round_up(addrs.end, BLOCK).unwrap_or(addrs.end));
    if let Some(old) = newest.map(|window| window.addrs()) {
        let len = ((old.end - old.start) * GROWTH).min(WINDOW_MAX);
        let both = old.start.min(low)..old.end.max(high);
        if both.end - both.start <= len {
            return match to {
                Direction::Up => (both.start, len),
                Direction::Down => (both.end.saturating_sub(len), len),
            };
        }
    }
    match to {
        Direction::Up => (low, WINDOW_FIRST),
        // Some of it for what the kernel may put above.
        Direction::Down => (high.saturating_sub(WINDOW_FIRST - WINDOW_FIRST / 8), WINDOW_FIRST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: usize = 1 << 30;

    fn window(start: usize, len: usize) -> Window {
        Window { start, granules: len >> GRANULE_SHIFT, map: PageMap::NONE }
    }

    fn planned(newest: Option<(usize, usize)>, at: usize, to: Direction) -> (usize, usize) {
        extent(newest.map(|(start, len)| window(start, len)), &(at..at + (1 << 20)), to)
    }

    #[test]
    fn a_window_grows_to_show_what_is_near_and_a_new_one_shows_what_is_far() {
        assert_eq!(planned(None, 100 * GIB + 4096, Direction::Up), (100 * GIB, WINDOW_FIRST));
        let first = Some((100 * GIB, WINDOW_FIRST));
        assert_eq!(planned(first, 105 * GIB, Direction::Up), (100 * GIB, 16 * WINDOW_FIRST));
        assert_eq!(planned(first, 164 * GIB, Direction::Up), (164 * GIB, WINDOW_FIRST));
        let large = Some((100 * GIB, 16 * WINDOW_FIRST));
        assert_eq!(planned(large, 164 * GIB, Direction::Up), (100 * GIB, 256 * WINDOW_FIRST));
        let larger = Some((100 * GIB, 256 * WINDOW_FIRST));
        assert_eq!(planned(larger, 400 * GIB, Direction::Up), (100 * GIB, WINDOW_MAX));
    }

    #[test]
    fn a_window_leaves_room_below_where_the_arena_grows_downward() {
        let (start, len) = planned(None, 100 * GIB, Direction::Down);
        assert!(start < 100 * GIB - WINDOW_FIRST / 4 * 3 && start + len > 100 * GIB + WINDOW_FIRST / 8);
        let (start, len) = planned(Some((100 * GIB, WINDOW_FIRST)), 99 * GIB, Direction::Down);
        assert_eq!((start + len, len), (100 * GIB + WINDOW_FIRST, 16 * WINDOW_FIRST));
        assert_eq!(planned(None, GIB / 2, Direction::Down).0, 0, "there is nothing below 0");
    }

    #[test]
    fn places_are_counted_from_the_start_and_end_with_the_window() {
        let window = window(GIB, WINDOW_FIRST);
        assert_eq!(window.place(GIB + 3 * 65536 + 5), Some(3));
        assert_eq!(
            (window.place(GIB - 1), window.place(GIB + WINDOW_FIRST), window.place(0)),
            (None, None, None)
        );
        assert!(window.shows(&(GIB..GIB + WINDOW_FIRST)) && !window.shows(&(GIB..GIB + WINDOW_FIRST + 1)));
    }
}
