//! Whether a block is free: looked for where free blocks are.
//!
//! A block may be in a magazine of any thread, in its slab, or on its way there. What is found is free for
//! sure. What is not found may be in the hands of a thread that is moving it this moment, or was lost to a
//! fork: it counts as not free, and a free of it as the first one.
//!
//! Nothing is found that is with the program: edges HELD and BUSY of `sync/held.rs`.

use super::Heap;
use crate::arena::Arena;
use crate::config::HOMING;
use crate::os::Os;
use crate::slab::noted::Noted;
use crate::sync::held::{Orderings, Strong};
use crate::units::SizeClass;

impl Heap {
    /// Whether a block is in this thread's magazine of its class. Any thread may ask.
    pub fn has_at_hand(&self, class: SizeClass, block: *mut u8) -> bool {
        // BUSY.
        !self.owned.busy.load(Strong::ASK) && self.bin(class).has(block)
    }

    /// Whether a block of this heap is at home: in its slab, or on its way there.
    pub fn has_at_home<O: Os>(&self, arena: &Arena<O>, class: SizeClass, block: *mut u8) -> bool {
        let noted = Noted::nothing();
        let site = self.site(arena, &noted);
        let has = {
            let mut central = self.shared.central.lock();
            self.shared.keep_inbox(&site, &mut central);
            central.has(&site, class, block)
        };
        // A sender that found the lock taken has left its parcel to whoever held it.
        self.sort(&site);
        has
    }

    /// Whether this thread knows that the block at an index of a young slab of a class was handed out once.
    pub fn knows(&self, class: SizeClass, index: usize) -> bool {
        index < self.magazine(class).known() as usize
    }

    /// The first `carved` blocks of a young slab were handed out. One bound serves for the young slabs of all
    /// heaps: this heap has one at most, and sets it anew when it carves from that.
    pub fn learn(&self, class: SizeClass, carved: u16) {
        self.set_known(class, carved.max(self.magazine(class).known()));
    }

    pub(super) fn set_known(&self, class: SizeClass, carved: u16) {
        self.magazine(class).set_known(carved);
        if class < HOMING {
            self.bin(class).young.set(class, carved);
        }
    }
}
