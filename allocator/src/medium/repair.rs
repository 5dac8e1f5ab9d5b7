//! The chunks in the child of a fork.
#![allow(unsafe_code)]

use super::chunks::Chunks;
use super::labels::{State, label_of, label_of_block};
use super::of_class::Side;
use crate::arena::Arena;
use crate::arena::page_map::Entry;
use crate::base::units::GranuleIdx;
use crate::os::Os;

impl Chunks {
    /// In the child of a fork that caught another thread at work here: makes all anew by the page map and by
    /// the labels. Of what is free nothing is known.
    pub fn rebuild<O: Os>(&mut self, arena: &Arena<O>) {
        let purger = if self.has_lost_purge() { 0 } else { self.purger };
        *self = Chunks { purger, rebuilt: self.rebuilt.wrapping_add(1), ..Chunks::new() };
        let Some(geometry) = arena.geometry() else { return };
        arena.for_each_granule(|head, entry| {
            if entry != Entry::CHUNK {
                return;
            }
            // SAFETY: a chunk by its entry; the only thread of the process is this one.
            let (chunk, class) = unsafe { (Self::chunk(&geometry, head), label_of(&geometry, head).class()) };
            chunk.reset(class, Side::NONE, 0);
            let whole = (0..class.granules().0).all(|granule| {
                let addr = geometry.addr_of(GranuleIdx(head.0 + granule));
                arena.entry_at(geometry, addr) == Entry::CHUNK.of_later(granule)
            });
            // One that was being given back is the arena's in part, and lost.
            // SAFETY: as above.
            let state = |at| unsafe { label_of_block(&geometry, head, class, at) }.state(at);
            let is_free = |&at: &u32| state(at) == State::Free;
            let blocks = if whole { class.blocks() } else { 0 };
            chunk.free = (0..blocks).filter(is_free).fold(0, |free, at| free | 1 << at);
            let (free, list) = (chunk.free.count_ones() as usize, chunk.list());
            self.free += free * class.bytes();
            self.dirty += free * class.bytes();
            let of = &mut self.of[class.number()].figures;
            (of.chunks, of.used) = (of.chunks + 1, of.used + class.blocks() - free as u32);
            self.relink(&geometry, head, None, list);
        });
        self.count_dirty(arena, 0);
    }
}
