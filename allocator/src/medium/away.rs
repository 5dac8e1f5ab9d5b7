//! Stretches of chunks that are away: free, in no record, and their pages on the way back to the kernel, with
//! no lock held.
#![allow(unsafe_code)]

use super::chunk::Blocks;
use crate::arena::Arena;
use crate::base::config::PURGE_BATCH;
use crate::base::units::{Bytes, GranuleIdx};
use crate::base::why::{Cause, Reason};
use crate::os::Os;
use core::ops::Range;

#[derive(Clone, Copy)]
pub struct Away {
    pub head: GranuleIdx,
    pub blocks: Blocks,
    /// Pages of them, by their offsets in the chunk.
    from: usize,
    end: usize,
    pub purged: bool,
}

pub struct Batch {
    /// The chunks that it is of: made anew so many times.
    pub rebuilt: u32,
    len: usize,
    stretches: [Away; PURGE_BATCH],
}

impl Away {
    pub fn pages(&self) -> Range<usize> {
        self.from..self.end
    }
}

impl Batch {
    pub fn new() -> Batch {
        let none = Away { head: GranuleIdx(0), blocks: 0, from: 0, end: 0, purged: false };
        Batch { rebuilt: 0, len: 0, stretches: [none; PURGE_BATCH] }
    }

    pub fn stretches(&self) -> &[Away] {
        self.stretches.get(..self.len).unwrap_or_default()
    }

    pub fn clear(&mut self, rebuilt: u32) {
        (self.rebuilt, self.len) = (rebuilt, 0);
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn is_full(&self) -> bool {
        self.len == PURGE_BATCH
    }

    pub fn add(&mut self, head: GranuleIdx, blocks: Blocks, pages: Range<usize>) {
        if let Some(place) = self.stretches.get_mut(self.len) {
            *place = Away { head, blocks, from: pages.start, end: pages.end, purged: false };
            self.len += 1;
        }
    }

    /// Gives the pages back, as long as the kernel takes them. Those that went.
    pub fn purge<O: Os>(&mut self, arena: &Arena<O>, cause: Cause) -> Bytes {
        let geometry = arena.started();
        let mut went = 0;
        for away in self.stretches.get_mut(..self.len).unwrap_or_default() {
            let at = geometry.start(away.head).wrapping_add(away.from);
            // SAFETY: away (I17): nobody is handed a block there before it is back.
            away.purged = unsafe { arena.os.purge(at, away.pages().len(), Reason::Purge.by(cause)) };
            if !away.purged {
                break;
            }
            went += away.pages().len();
        }
        Bytes(went)
    }
}
