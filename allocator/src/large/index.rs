//! Which mappings are large blocks, and how long each is: an open-addressed table, out of band, so that
//! the mappings carry no header.
//!
//! Every change becomes visible by one store of a key (the length is written before it, a new table is
//! complete before it replaces the old), so a fork may copy it in any state.

use crate::os::Os;

#[derive(Clone, Copy)]
#[repr(C)]
struct Slot {
    /// Address of the block, or `VACANT` or `GONE`.
    key: usize,
    len: usize,
}

const VACANT: usize = 0;
/// Was a block: a search goes on behind it. No block has this address.
const GONE: usize = 1;

const FIRST_SLOTS: usize = 256;

pub struct Index {
    slots: *mut Slot,
    capacity: usize,
    live: usize,
    /// Slots that are not VACANT.
    taken: usize,
}

// SAFETY: the slots are the index's own memory.
unsafe impl Send for Index {}

impl Index {
    pub const fn new() -> Self {
        Index { slots: core::ptr::null_mut(), capacity: 0, live: 0, taken: 0 }
    }

    /// Makes room for one more. False where there is no memory for it.
    pub fn reserve<O: Os>(&mut self, os: &O) -> bool {
        if (self.taken + 1) * 2 <= self.capacity {
            return true;
        }
        let capacity = ((self.live + 1) * 4).next_power_of_two().max(FIRST_SLOTS);
        let Some(bytes) = (capacity * size_of::<Slot>()).checked_next_multiple_of(os.page()) else {
            return false;
        };
        let Some(memory) = os.map(bytes) else { return false };
        let mut new = Index { slots: memory.cast(), capacity, live: 0, taken: 0 };
        for slot in self.slots().iter().filter(|slot| slot.key > GONE) {
            new.insert(slot.key, slot.len);
        }
        core::mem::swap(self, &mut new);
        if !new.slots.is_null() {
            let bytes = (new.capacity * size_of::<Slot>()).next_multiple_of(os.page());
            // SAFETY: the old table's mapping, copied and out of use.
            unsafe { os.unmap(new.slots.cast(), bytes) };
        }
        true
    }

    /// Adds a block; `reserve` made room for it.
    pub fn insert(&mut self, key: usize, len: usize) {
        let mut at = self.home(key);
        while self.slots()[at].key > GONE {
            at = (at + 1) & (self.capacity - 1);
        }
        let slot = &mut self.slots_mut()[at];
        let was_vacant = slot.key == VACANT;
        slot.len = len;
        slot.key = key;
        self.live += 1;
        self.taken += was_vacant as usize;
    }

    pub fn get(&self, key: usize) -> Option<usize> {
        self.find(key).map(|at| self.slots()[at].len)
    }

    /// Removes a block; its length.
    pub fn remove(&mut self, key: usize) -> Option<usize> {
        let at = self.find(key)?;
        let slot = &mut self.slots_mut()[at];
        slot.key = GONE;
        let len = slot.len;
        self.live -= 1;
        Some(len)
    }

    pub fn live(&self) -> usize {
        self.live
    }

    /// Counts again, in a fork's child that may have copied a change half done.
    pub fn recount(&mut self) {
        self.live = self.slots().iter().filter(|slot| slot.key > GONE).count();
        self.taken = self.slots().iter().filter(|slot| slot.key != VACANT).count();
    }

    fn find(&self, key: usize) -> Option<usize> {
        if self.capacity == 0 || key <= GONE {
            return None;
        }
        let mut at = self.home(key);
        loop {
            match self.slots()[at].key {
                VACANT => return None,
                found if found == key => return Some(at),
                _ => at = (at + 1) & (self.capacity - 1),
            }
        }
    }

    /// Mappings differ in their page numbers: the low bits say nothing.
    fn home(&self, key: usize) -> usize {
        let hash = (key >> 12).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 32) & (self.capacity - 1)
    }

    fn slots(&self) -> &[Slot] {
        if self.slots.is_null() {
            return &[];
        }
        // SAFETY: `capacity` slots in a mapping that is this index's alone, zeroed by the kernel.
        unsafe { core::slice::from_raw_parts(self.slots, self.capacity) }
    }

    fn slots_mut(&mut self) -> &mut [Slot] {
        if self.slots.is_null() {
            return &mut [];
        }
        // SAFETY: as in `slots`; the borrow of self is exclusive.
        unsafe { core::slice::from_raw_parts_mut(self.slots, self.capacity) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::sim::Sim;
    use std::collections::HashMap;

    #[test]
    fn agrees_with_a_hash_map_over_many_inserts_and_removes() {
        let os = Sim::new();
        let mut index = Index::new();
        let mut shadow = HashMap::new();
        let mut seed = 1u64;
        for _ in 0..if cfg!(miri) { 600 } else { 20_000 } {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let key = ((seed >> 33) as usize % 700 + 1) << 12;
            if shadow.contains_key(&key) {
                assert_eq!(index.get(key), shadow.get(&key).copied());
                assert_eq!(index.remove(key), shadow.remove(&key));
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
    fn a_refused_table_leaves_the_index_as_it_was() {
        let os = Sim::new();
        let mut index = Index::new();
        os.refuse_everything(true);
        assert!(!index.reserve(&os));
        os.refuse_everything(false);
        assert!(index.reserve(&os));
        index.insert(4096, 7);
        assert_eq!(index.get(4096), Some(7));
    }
}
