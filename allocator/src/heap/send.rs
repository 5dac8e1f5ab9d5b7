//! How blocks that a thread without a heap frees come to their heaps: at once, or by an outbox.

use super::exposed;
use super::registry::Registry;
use super::remote::gather;
use crate::arena::Arena;
use crate::base::checked::split_or_end;
use crate::base::units::{HeapId, SizeClass};
use crate::os::Os;
use crate::slab::noted::Noted;
use crate::slab::site::Site;
use crate::slab::slot::Slot;

impl Registry {
    /// Sends a block of a slab to its heap.
    pub fn send_home<O: Os>(&self, arena: &Arena<O>, block: *mut u8) {
        self.send_each(arena, &[Slot::new(exposed(block))]);
    }

    /// Puts a block of a slab into the outbox of the calling thread, which sends it later; at once where
    /// there is no memory for outboxes.
    pub fn send_later<O: Os>(&self, arena: &Arena<O>, class: SizeClass, block: *mut u8) {
        match self.make_outboxes(&arena.os) {
            Some(outboxes) => outboxes.put(class, block, |blocks| self.send_each(arena, blocks)),
            None => self.send_home(arena, block),
        }
    }

    /// Sends what all outboxes have.
    pub fn empty_outboxes<O: Os>(&self, arena: &Arena<O>) {
        if let Some(outboxes) = self.outboxes() {
            outboxes.empty(|blocks| self.send_each(arena, blocks));
        }
    }

    /// Sends blocks to the heaps whose slabs they are of; the order they stand in changes. Whether one of
    /// those is mostly free.
    fn send_each<O: Os>(&self, arena: &Arena<O>, blocks: &[Slot]) -> bool {
        let noted = Noted::nothing();
        // Of no heap's: only to look blocks up.
        let site =
            Site { arena, geometry: arena.started(), window: arena.window(), heap: HeapId(0), noted: &noted };
        let (mut rest, mut sparse) = (blocks, false);
        while let Some(first) = rest.first() {
            let entry = site.entry_of(first.get());
            let (these, behind) = split_or_end(rest, gather(&site, rest, entry));
            match entry.as_slab() {
                Some((heap, class)) => sparse |= self.heap(heap).receive(&site.of(heap), class, these),
                None => noted.note(c"free(): invalid pointer", first.get()),
            }
            rest = behind;
        }
        sparse
    }
}
