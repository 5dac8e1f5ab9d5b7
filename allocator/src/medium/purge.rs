//! Pages go back of what is free in chunks: a batch of stretches at a time, with the lock open.
//!
//! ```text
//!   lock │ free stretches → away │ open │ purge │ lock │ back, clean; and the next │ open │ …
//! ```
#![allow(unsafe_code)]

use super::away::{Away, Batch};
use super::chunks::Chunks;
use super::class::MEDIUM_CLASSES;
use super::of_class::List;
use crate::arena::Arena;
use crate::base::units::GranuleIdx;
use crate::os::Os;
use crate::sync::token::token;

/// Purges that are left out at most.
const PAUSE_MAX: u32 = 256;

impl Chunks {
    /// Starts a purge that leaves no more than `keep` bytes dirty. False where there is none to be made,
    /// another thread is at it, or the kernel refused the last ones.
    pub fn start_purge(&mut self, keep: usize) -> bool {
        if self.dirty <= keep || self.purger != 0 {
            return false;
        }
        let due = self.skips == 0 || keep == 0;
        self.skips = self.skips.saturating_sub(1);
        if due {
            self.purger = token();
        }
        due
    }

    /// Puts a batch back that was purged, and takes the next one out. False where the purge is over.
    pub fn next_batch<O: Os>(&mut self, arena: &Arena<O>, batch: &mut Batch, keep: usize) -> bool {
        if !batch.is_empty() && batch.rebuilt != self.rebuilt {
            // In a fork's child, made by a signal handler inside of this purge: all that was away is back.
            self.purger = 0;
            return false;
        }
        let refused = batch.stretches().iter().any(|away| !away.purged);
        for away in batch.stretches() {
            self.put_back(arena, away);
        }
        if !batch.is_empty() {
            self.pause = if refused { (self.pause * 2).clamp(1, PAUSE_MAX) } else { 0 };
            self.skips = self.pause;
        }
        batch.clear(self.rebuilt);
        if !refused {
            self.fill(arena, batch, keep);
        }
        if batch.is_empty() {
            self.purger = 0;
        }
        !batch.is_empty()
    }

    /// Takes stretches out until no more than `keep` bytes are dirty.
    fn fill<O: Os>(&mut self, arena: &Arena<O>, batch: &mut Batch, keep: usize) {
        let geometry = arena.started();
        let lists_of = |class| List::dirty().map(move |list| (class, list));
        for (class, list) in (0..MEDIUM_CLASSES).rev().flat_map(lists_of) {
            let mut next = self.of[class].first(list);
            while let Some(head) = next {
                // SAFETY: a chunk, lock held; the reference ends before another is made.
                let chunk = unsafe { Self::chunk(&geometry, head) };
                next = chunk.next.checked_sub(1).map(GranuleIdx);
                let bytes = chunk.class.bytes();
                for (these, pages) in chunk.purgeable(arena.os.page()) {
                    if batch.is_full() || self.dirty <= keep {
                        return;
                    }
                    batch.add(head, these, pages);
                    // SAFETY: as above.
                    let chunk = unsafe { Self::chunk(&geometry, head) };
                    self.use_kept(chunk, head);
                    let dirty = (chunk.dirty() & these).count_ones() as usize * bytes;
                    let before = chunk.list();
                    chunk.free &= !these;
                    let after = chunk.list();
                    self.of[class].figures.away += these.count_ones();
                    self.count_dirty(arena, -(dirty as isize));
                    self.relink(&geometry, head, before, after);
                }
            }
        }
    }

    fn put_back<O: Os>(&mut self, arena: &Arena<O>, away: &Away) {
        let geometry = arena.started();
        // SAFETY: a chunk: blocks of it come back. The reference ends before another is made.
        let chunk = unsafe { Self::chunk(&geometry, away.head) };
        // What came back to the chunk meanwhile is not among these.
        let before = chunk.free;
        chunk.free = away.blocks;
        if away.purged {
            chunk.note_clean(away.pages());
        }
        let dirty = chunk.dirty_bytes();
        chunk.free = before;
        self.of[chunk.class.number()].figures.away -= away.blocks.count_ones();
        self.count_dirty(arena, dirty as isize);
        self.put_blocks(arena, away.head, away.blocks);
    }

    /// In the child of a fork: whether a purge was lost with its thread.
    pub fn has_lost_purge(&self) -> bool {
        self.purger != 0 && self.purger != token()
    }
}
