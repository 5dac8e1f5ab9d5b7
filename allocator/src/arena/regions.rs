//! Regions: what the arena gains by mmap, where the break is not its to move.
#![allow(unsafe_code)]

use super::windows::Direction;
use crate::base::config::GRANULE;
use crate::base::units::{round_down, round_up};
use crate::base::why::{Reason, Why};
use crate::os::Os;
use crate::os::aligned::{is_below, map_low};
use core::ops::Range;

pub struct Regions {
    /// Where the next region is wished for: from here on, or up to here. Downward 0 is anywhere.
    next: usize,
    to: Direction,
}

impl Regions {
    /// Regions from `from` on, if there is room.
    pub fn upward(from: usize) -> Self {
        Regions { next: from, to: Direction::Up }
    }

    /// Regions where the kernel puts them: downward from its mappings.
    pub fn anywhere() -> Self {
        Regions { next: 0, to: Direction::Down }
    }

    /// Which way they go.
    pub fn direction(&self) -> Direction {
        self.to
    }

    /// Notes that addresses were given back: downward the kernel is asked anew, for the highest that are
    /// free.
    pub fn forget(&mut self) {
        if self.to == Direction::Down {
            self.next = 0;
        }
    }

    /// Where regions that go upward begin.
    pub fn from(&self) -> usize {
        self.next
    }

    /// Maps a region of `len` bytes, whole granules, and says where it is: upward at `gap`, if there is room.
    pub fn map<O: Os>(&mut self, os: &O, len: usize, gap: usize, why: Why) -> Option<Range<usize>> {
        let hint = match self.to {
            Direction::Up => gap,
            Direction::Down => self.next.saturating_sub(len),
        };
        let align = Reason::Align.by(why.cause);
        let at = if hint == 0 { None } else { Some(os.map_near(hint, len, why)?.addr()) };
        let start = match at {
            Some(at) if at == hint => at,
            // Not where it was wished for: from now on where the kernel puts them, downward from there.
            at => {
                self.to = Direction::Down;
                match at {
                    Some(at) if at % GRANULE == 0 => at,
                    _ => {
                        if let Some(at) = at {
                            // SAFETY: mapped above, and nobody knows of it.
                            unsafe { os.unmap(core::ptr::with_exposed_provenance_mut(at), len, align) };
                        }
                        map_at_granule(os, len, why)?
                    }
                }
            }
        };
        let start = if is_below(start, len) {
            start
        } else {
            // SAFETY: mapped above, and nobody knows of it.
            unsafe { os.unmap(core::ptr::with_exposed_provenance_mut(start), len, align) };
            map_low(os, len, why)?.addr()
        };
        if self.to == Direction::Down {
            self.next = start;
        }
        Some(start..start + len)
    }
}

/// A mapping at a multiple of the granule: mapped longer, and cut at both ends.
fn map_at_granule<O: Os>(os: &O, len: usize, why: Why) -> Option<usize> {
    let long = len.checked_add(GRANULE - os.page())?;
    let at = os.map(long, why)?;
    let why = Reason::Align.by(why.cause);
    let start = round_up(at.addr(), GRANULE)?;
    let (skip, behind) = (start - at.addr(), round_down(at.addr() + long - start - len, os.page()));
    // SAFETY: both ends are parts of the mapping made above. Where the kernel refuses to cut (its count of
    // mappings is full), the end stays mapped and untouched: address space, no memory.
    unsafe {
        if skip > 0 {
            os.unmap(at, skip, why);
        }
        if behind > 0 {
            os.unmap(at.wrapping_add(skip + len), behind, why);
        }
    }
    Some(start)
}
