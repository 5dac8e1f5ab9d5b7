//! Whether a block is free: looked for where free blocks are.
//!
//! A block may be in a magazine of any thread, in its slab, or on its way there. What is found is free for
//! sure. What is not found may be in the hands of a thread that is moving it this moment, or was lost to a
//! fork: it counts as not free, and a free of it as the first one.
//!
//! Nothing is found that is with the program: edges HELD and BUSY of `sync/held.rs`.

use super::Heap;
use crate::arena::Arena;
use crate::base::units::SizeClass;
use crate::os::Os;
use crate::slab::noted::Noted;
use crate::sync::held::{Orderings, Strong};

impl Heap {
    /// Whether a block is in this thread's magazine of its class. Any thread may ask.
    pub fn has_at_hand(&self, class: SizeClass, block: *mut u8) -> bool {
        // BUSY.
        !self.owned.busy.load(Strong::ASK) && self.bin(class).has(block)
    }

    /// Whether a block of this heap is in its slab, whatever is on its way there.
    pub fn has_in_slab<O: Os>(&self, arena: &Arena<O>, class: SizeClass, block: *mut u8) -> bool {
        let noted = Noted::nothing();
        let site = self.site(arena, &noted);
        let has = self.shared.slabs.lock().has(&site, class, block);
        // A sender that found the lock taken has left its parcel to whoever held it.
        self.drain(&site);
        has
    }

    /// Whether a block of this heap is at home: in its slab, or on its way there.
    pub fn has_at_home<O: Os>(&self, arena: &Arena<O>, class: SizeClass, block: *mut u8) -> bool {
        let noted = Noted::nothing();
        let site = self.site(arena, &noted);
        let has = {
            let mut slabs = self.shared.slabs.lock();
            self.shared.keep_inbox(&site, &mut slabs);
            slabs.empty_depot_of(&site, class);
            slabs.has(&site, class, block)
        };
        // As above.
        self.drain(&site);
        has
    }
}
