//! Medium blocks: above what slabs serve, up to 256 KiB, in *chunks*: runs carved into blocks of one class.
//!
//! ```text
//!   chunk of class 40 KiB, 5 granules   │ block │ block │ block │ free │ block │ free │ block │ block │
//!
//!   alloc ─► a few blocks that the thread has at hand ─► a chunk that has one free ─► a run of the arena
//!   free  ─► at hand, while those are few             ─► its chunk ─► the arena, where it is all free
//! ```
//!
//! One lock guards all chunks; what a thread has at hand makes most requests do without it. Threads look into
//! chunks of their own first (`of_class`). Whoever frees a block finds its class and its state in the chunk's
//! record without the lock (`labels`). Those are the truth that a fork's child makes the rest anew from.
//!
//! Invariant I17: a block of a chunk is free in its record, out by its label, or *away*: free, and its pages
//! are being given back.
#![allow(unsafe_code)]

mod at_hand;
mod away;
mod chunk;
mod chunks;
mod class;
mod figures;
mod labels;
mod of_class;
mod purge;
mod repair;
mod spot;

use crate::arena::{Arena, Geometry};
use crate::base::allocated::Allocated;
use crate::base::config::GRANULE;
use crate::base::units::{Bytes, GranuleIdx};
use crate::base::why::Cause;
use crate::os::Os;
use crate::sync::lock::{Inherited, Lock};
pub use at_hand::AtHand;
use away::Batch;
use chunks::Chunks;
pub use class::{MEDIUM_CLASSES, MediumClass};
use core::ops::Range;
pub use figures::MediumFigures;
pub use labels::State;
use labels::{label_of, label_of_block};
pub use of_class::Side;
pub use spot::{Free, Spot, look_up};

pub struct Medium {
    chunks: Lock<Chunks>,
}

impl Medium {
    pub const fn new() -> Medium {
        Medium { chunks: Lock::new(Chunks::new()) }
    }

    /// A block of a class for a side, and up to `more` for the thread to have at hand, which `keep` takes.
    /// None where the arena has no run for a chunk.
    pub fn alloc<O: Os>(
        &self,
        arena: &Arena<O>,
        class: MediumClass,
        side: Side,
        more: usize,
        mut keep: impl FnMut(Free),
    ) -> Option<Allocated> {
        let mut chunks = self.chunks.lock();
        let free = chunks.take(arena, class, side, State::Out)?;
        for _ in 0..more {
            let Some(free) = chunks.take_there(arena, class, side, State::AtHand) else { break };
            keep(free);
        }
        Some(free.allocated())
    }

    /// Puts blocks back into their chunks. What that makes too much is purged once the caller holds no lock:
    /// the budget says so.
    pub fn free<O: Os>(&self, arena: &Arena<O>, spots: impl Iterator<Item = Spot>) {
        let mut chunks = self.chunks.lock();
        spots.for_each(|spot| chunks.put(arena, spot));
        if arena.is_exceeded() || arena.budget.sleeper.is_asleep() {
            arena.budget.note_over();
        }
        arena.note_held();
    }

    /// Gives pages back of what is free in chunks until no more than `keep` bytes are dirty, with no lock
    /// held. The pages that went.
    pub fn purge<O: Os>(&self, arena: &Arena<O>, keep: usize, cause: Cause) -> Bytes {
        let mut went = 0;
        if self.chunks.lock().start_purge(keep) {
            let mut batch = Batch::new();
            while self.chunks.lock().next_batch(arena, &mut batch, keep) {
                let bytes = batch.purge(arena, cause);
                arena.note_gone(bytes);
                went += bytes.0;
            }
        }
        Bytes(went)
    }

    /// Gives back what lay unused since the last call. The pages that went.
    pub fn purge_idle<O: Os>(&self, arena: &Arena<O>) -> Bytes {
        let keep = self.chunks.lock().used_of_dirty();
        let went = self.purge(arena, keep, Cause::Idle);
        self.chunks.lock().used_of_dirty();
        went
    }

    /// Gives the chunk back that was kept though empty.
    pub fn retire_empty<O: Os>(&self, arena: &Arena<O>) {
        self.chunks.lock().retire_empty(arena);
    }

    pub fn figures(&self) -> MediumFigures {
        self.chunks.lock().figures()
    }

    /// Whether a block that is out lies on a part of a granule, the `place`-th of its chunk.
    ///
    /// # Safety
    /// The granule is a chunk's by its entry, and nobody changes the chunk meanwhile.
    pub unsafe fn is_used(geometry: &Geometry, granule: GranuleIdx, place: u32, part: Range<usize>) -> bool {
        // SAFETY: as the caller vouches.
        let class = unsafe { label_of(geometry, granule) }.class();
        let (first, bytes) = (place as usize * GRANULE, class.bytes());
        let blocks = (first + part.start) / bytes..(first + part.end).div_ceil(bytes);
        let blocks = blocks.start as u32..(blocks.end as u32).min(class.blocks());
        blocks.into_iter().any(|at| {
            // SAFETY: as the caller vouches.
            unsafe { label_of_block(geometry, GranuleIdx(granule.0 - place), class, at) }.state(at)
                == State::Out
        })
    }

    /// In the child of a fork: makes right again what another thread was changing.
    ///
    /// # Safety
    /// As for `Allocator::repair_after_fork`. The arena was repaired.
    pub unsafe fn repair_after_fork<O: Os>(&self, arena: &Arena<O>) {
        // SAFETY: as the caller vouches.
        let inherited = unsafe { self.chunks.inherit() };
        if inherited == Inherited::Mine {
            return;
        }
        let mut chunks = self.chunks.lock();
        if inherited == Inherited::Torn || chunks.has_lost_purge() {
            chunks.rebuild(arena);
        }
    }

    /// Whether the calling thread holds the lock.
    pub fn is_mine(&self) -> bool {
        self.chunks.is_mine()
    }

    #[cfg(test)]
    pub fn hold_lock(&self) -> impl Sized + '_ {
        self.chunks.lock()
    }

    /// What a fork's copy has of a thread that gives pages back.
    #[cfg(test)]
    pub fn leave_away<O: Os>(&self, arena: &Arena<O>) {
        assert!(self.chunks.lock().start_purge(0));
        assert!(self.chunks.lock().next_batch(arena, &mut Batch::new(), 0));
    }
}
