//! The end of an arena whose library is unloaded: everything goes but the pages that blocks are on.
#![allow(unsafe_code)]

use super::Arena;
use super::directory::Levels;
use super::page_map::Entry;
use crate::base::config::GRANULE;
use crate::base::units::{GranuleIdx, round_up};
use crate::base::why::{Cause, Reason, Why};
use crate::os::Os;
use core::ops::Range;
use core::ptr::with_exposed_provenance_mut;

const WHY: Why = Reason::Unload.by(Cause::Process);

impl<O: Os> Arena<O> {
    /// Unmaps what no block is on, and then the tables. `is_used` says whether a part of a slab or of a
    /// chunk, a page from an offset in a granule on, holds any of a block that is out.
    ///
    /// # Safety
    /// Nobody uses the arena from here on, but for the blocks that are out; no call of it is under way.
    pub unsafe fn unload(&self, is_used: impl Fn(GranuleIdx, Entry, Range<usize>) -> bool) {
        let Some(geometry) = self.geometry() else { return };
        let page = self.os.page();
        let mut vacant = Vacant { os: &self.os, addrs: 0..0 };
        self.for_each_granule(|granule, entry| {
            let addr = geometry.addr_of(granule);
            if entry == Entry::FREE {
                vacant.add(addr..addr + GRANULE);
            } else if entry.as_slab().is_some() || entry.in_chunk().is_some() {
                let mut from = 0;
                while from < GRANULE {
                    let part = from..from + page;
                    from = part.end;
                    if !is_used(granule, entry, part.clone()) {
                        vacant.add(addr + part.start..addr + part.end);
                    }
                }
            }
        });
        vacant.unmap();
        for block in geometry.directory.iter() {
            // SAFETY: as the caller vouches: nobody asks for the tables again.
            unsafe { block.unmap(&self.os, WHY) };
        }
        for window in self.windows.iter() {
            if let Some(len) = round_up(window.granules * size_of::<u32>(), page) {
                // SAFETY: the window's map, for which nobody asks again (caller).
                unsafe { self.os.unmap(window.map.words().cast_mut().cast(), len, WHY) };
            }
        }
        geometry.directory.unmap_leaves(&self.os, WHY);
        if let Some(len) = round_up(size_of::<Levels>(), page) {
            // SAFETY: the directory, for which nobody asks again (caller).
            unsafe { self.os.unmap(geometry.directory.levels().cast(), len, WHY) };
        }
    }
}

/// Addresses that are to be unmapped, one after the other.
struct Vacant<'a, O: Os> {
    os: &'a O,
    addrs: Range<usize>,
}

impl<O: Os> Vacant<'_, O> {
    fn add(&mut self, more: Range<usize>) {
        if self.addrs.end != more.start {
            self.unmap();
            self.addrs.start = more.start;
        }
        self.addrs.end = more.end;
    }

    fn unmap(&mut self) {
        if !self.addrs.is_empty() {
            // SAFETY: the arena's own, and no block is there. Where it is refused, addresses stay.
            unsafe { self.os.unmap(with_exposed_provenance_mut(self.addrs.start), self.addrs.len(), WHY) };
        }
        self.addrs = 0..0;
    }
}
