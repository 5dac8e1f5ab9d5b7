//! The index of large blocks: which mappings are blocks, and how long each is. It is an open-addressed hash
//! table beside the mappings, so that they need no header.
//!
//! Invariant I15: one store of a key makes a change seen. The length is written before it, and a new table is
//! complete before it replaces the old one. So a fork may copy the index in any state.
#![allow(unsafe_code)]

use super::mapping::Mapping;
use crate::base::checked::{at_or_end, at_or_end_mut};
use crate::base::units::{div_up, round_up};
use crate::base::why::{Cause, Reason, Why};
use crate::os::Os;
use crate::sync::stores::in_order;

#[derive(Clone, Copy)]
#[repr(C)]
struct Slot {
    /// The block's address, or `VACANT`, or `GONE`.
    key: usize,
    len: usize,
}

const TABLES: Why = Reason::Tables.by(Cause::Large);

const VACANT: usize = 0;
/// The slot of a block that was removed: a search goes on behind it. No block has this address.
const GONE: usize = 1;

/// Slots inside of the index itself. So a program's first large block makes one mapping, its own.
const FIRST_SLOTS: usize = 128;

/// The bits of `table` that hold the logarithm of the capacity. A page's address leaves them free.
const TAG: usize = 63;

const _: () = assert!(FIRST_SLOTS.is_power_of_two());

pub struct Index {
    first: [Slot; FIRST_SLOTS],
    /// The table's address (null while `first` is enough), and the logarithm of its capacity in the `TAG`
    /// bits. They are one word, so that a fork copies both or neither.
    table: *mut Slot,
    live: usize,
    /// Slots that are not VACANT.
    taken: usize,
}

// SAFETY: the slots are the index's own memory.
unsafe impl Send for Index {}

impl Index {
    pub const fn new() -> Self {
        Index {
            first: [Slot { key: VACANT, len: 0 }; FIRST_SLOTS],
            table: core::ptr::without_provenance_mut(FIRST_SLOTS.ilog2() as usize),
            live: 0,
            taken: 0,
        }
    }

    /// Makes room for one more block. False where there is no memory for it.
    pub fn reserve<O: Os>(&mut self, os: &O) -> bool {
        if (self.taken + 1) * 2 <= self.capacity() {
            return true;
        }
        // A page at least: a smaller table would soon be full of `GONE`, and be made anew all the time.
        let capacity = ((self.live + 1) * 4).next_power_of_two().max(os.page() / size_of::<Slot>());
        let Some(bytes) = round_up(capacity * size_of::<Slot>(), os.page()) else {
            return false;
        };
        let Some(memory) = os.map(bytes, TABLES) else { return false };
        // The new table is whole before it replaces the old one.
        let new: *mut Slot = memory.cast();
        let mut copied = 0;
        for &slot in self.slots().iter().filter(|slot| slot.key > GONE) {
            let mut at = home(slot.key, capacity);
            // SAFETY: inside the new table, which is zeroed and this thread's alone.
            unsafe {
                while (*new.add(at)).key != VACANT {
                    at = (at + 1) & (capacity - 1);
                }
                *new.add(at) = slot;
            }
            copied += 1;
        }
        let old = self.table;
        in_order();
        self.table = new.map_addr(|at| at | capacity.trailing_zeros() as usize);
        (self.live, self.taken) = (copied, copied);
        unmap_table(os, old);
        true
    }

    /// Unmaps the table, if there is one, and forgets all blocks.
    pub fn unmap<O: Os>(&mut self, os: &O) {
        unmap_table(os, core::mem::replace(self, Index::new()).table);
    }

    /// Adds a block; `reserve` made room for it.
    pub fn insert(&mut self, key: usize, len: usize) {
        let capacity = self.capacity();
        let mut at = home(key, capacity);
        while self.slot(at).key > GONE {
            at = (at + 1) & (capacity - 1);
        }
        let slot = at_or_end_mut(self.slots_mut(), at);
        let was_vacant = slot.key == VACANT;
        slot.len = len;
        in_order();
        slot.key = key;
        self.live += 1;
        self.taken += was_vacant as usize;
    }

    pub fn get(&self, key: usize) -> Option<usize> {
        self.find(key).map(|at| self.slot(at).len)
    }

    /// Removes a block; its length.
    pub fn remove(&mut self, key: usize) -> Option<usize> {
        let at = self.find(key)?;
        // Where the next slot is vacant a search ends there. It may as well end here.
        let ends = self.slot((at + 1) & (self.capacity() - 1)).key == VACANT;
        self.taken -= ends as usize;
        Some(self.take_out(at, if ends { VACANT } else { GONE }))
    }

    /// Removes a block that will be added again, perhaps under another key. Its slot stays taken meanwhile,
    /// so that there is room for it then.
    pub fn set_aside(&mut self, key: usize) {
        if let Some(at) = self.find(key) {
            self.take_out(at, GONE);
        }
    }

    fn take_out(&mut self, at: usize, leave: usize) -> usize {
        self.live -= 1;
        let slot = at_or_end_mut(self.slots_mut(), at);
        slot.key = leave;
        slot.len
    }

    /// The mapping that it has, if it has one.
    pub fn table_mapping(&self) -> Option<Mapping> {
        let at: *mut u8 = self.memory().cast();
        (!at.is_null()).then(|| Mapping { at, len: self.capacity() * size_of::<Slot>() })
    }

    /// Copies blocks from the places from `from` on, of which `looks` are looked at: how many there were, and
    /// where to go on. None at the end.
    pub fn copy(&self, from: usize, looks: usize, rows: &mut [Mapping]) -> (usize, Option<usize>) {
        let mut count = 0;
        for (at, slot) in self.slots().iter().enumerate().skip(from) {
            if at == from + looks {
                return (count, Some(at));
            }
            if slot.key > GONE {
                let Some(row) = rows.get_mut(count) else { return (count, Some(at)) };
                *row = Mapping { at: core::ptr::with_exposed_provenance_mut(slot.key), len: slot.len };
                count += 1;
            }
        }
        (count, None)
    }

    pub fn live(&self) -> usize {
        self.live
    }

    /// Bytes of all blocks, by looking at each.
    pub fn bytes(&self) -> usize {
        self.slots().iter().filter(|slot| slot.key > GONE).map(|slot| slot.len).sum()
    }

    /// Every block and its length.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize)> {
        self.slots().iter().filter(|slot| slot.key > GONE).map(|slot| (slot.key, slot.len))
    }

    /// Counts again, in a fork's child that may have copied a change half done.
    pub fn recount(&mut self) {
        self.live = self.slots().iter().filter(|slot| slot.key > GONE).count();
        self.taken = self.slots().iter().filter(|slot| slot.key != VACANT).count();
    }

    fn find(&self, key: usize) -> Option<usize> {
        if key <= GONE {
            return None;
        }
        let capacity = self.capacity();
        let mut at = home(key, capacity);
        // Once around at most: where `reserve` was refused often, no slot may be vacant.
        for _ in 0..capacity {
            match self.slot(at).key {
                VACANT => return None,
                found if found == key => return Some(at),
                _ => at = (at + 1) & (capacity - 1),
            }
        }
        None
    }

    fn slot(&self, at: usize) -> Slot {
        *at_or_end(self.slots(), at)
    }

    fn capacity(&self) -> usize {
        1 << (self.table.addr() & TAG)
    }

    /// The table's mapping, or null.
    fn memory(&self) -> *mut Slot {
        self.table.map_addr(|at| at & !TAG)
    }

    fn slots(&self) -> &[Slot] {
        if self.memory().is_null() {
            return &self.first;
        }
        // SAFETY: `capacity` slots in a mapping that is this index's alone, zeroed by the kernel.
        unsafe { core::slice::from_raw_parts(self.memory(), self.capacity()) }
    }

    fn slots_mut(&mut self) -> &mut [Slot] {
        if self.memory().is_null() {
            return &mut self.first;
        }
        // SAFETY: the index's own mapping, as in `slots`; the borrow of self is exclusive.
        unsafe { core::slice::from_raw_parts_mut(self.memory(), self.capacity()) }
    }
}

/// Unmaps a table, as `Index::table` has it, that is out of use.
fn unmap_table<O: Os>(os: &O, table: *mut Slot) {
    let (memory, capacity) = (table.map_addr(|at| at & !TAG), 1usize << (table.addr() & TAG));
    if !memory.is_null() {
        let bytes = div_up(capacity * size_of::<Slot>(), os.page()) * os.page();
        // SAFETY: the table's mapping, which nobody uses any more.
        unsafe { os.unmap(memory.cast(), bytes, TABLES) };
    }
}

/// Where the search for a key starts. The low 12 bits of a mapping's address are zero, so they are left out.
fn home(key: usize, capacity: usize) -> usize {
    let hash = (key >> 12).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> 32) & (capacity - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::sim::{Call, Sim};
    use std::collections::HashMap;

    #[test]
    fn agrees_with_a_hash_map_over_many_inserts_and_removes() {
        let os = Sim::new();
        let mut index = Index::new();
        let mut shadow = HashMap::new();
        let mut seed = 1u64;
        for _ in 0..if cfg!(miri) { 250 } else { 20_000 } {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let key = ((seed >> 33) as usize % 700 + 1) << 12;
            if let Some(len) = shadow.remove(&key) {
                assert_eq!(index.get(key), Some(len));
                assert_eq!(index.remove(key), Some(len));
            } else {
                assert!(index.reserve(&os));
                index.insert(key, seed as usize);
                shadow.insert(key, seed as usize);
            }
            assert_eq!(index.live(), shadow.len());
        }
        let counted = (index.live, index.taken);
        index.recount();
        assert_eq!((index.live, index.taken), counted);
    }

    #[test]
    fn few_blocks_that_come_and_go_do_not_have_it_made_anew() {
        let os = Sim::new();
        let mut index = Index::new();
        let rounds = if cfg!(miri) { 300 } else { 10_000 };
        for key in 1..=rounds {
            assert!(index.reserve(&os));
            index.insert(key << 12, key);
            assert_eq!(index.remove(key << 12), Some(key));
        }
        assert_eq!(os.calls(Call::Map), 0, "one block at a time needs no more than the first table");
        assert_eq!((index.live, index.taken), (0, 0));
    }

    #[test]
    fn a_refused_table_leaves_the_index_as_it_was() {
        let os = Sim::new();
        let mut index = Index::new();
        os.refuse_everything(true);
        let mut count = 0;
        while index.reserve(&os) {
            count += 1;
            index.insert(count << 12, count);
        }
        assert_eq!(count, FIRST_SLOTS / 2, "the first table needs no memory");
        os.refuse_everything(false);
        assert!(index.reserve(&os));
        index.insert((count + 1) << 12, 7);
        assert!((1..=count).all(|key| index.get(key << 12) == Some(key)));
    }
}
