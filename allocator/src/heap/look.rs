//! Whether a block is free: looked for where free blocks are.
//!
//! A block may be in a magazine of any thread, in its slab, or on its way there. What is found is free for
//! sure. What is not found may be in the hands of a thread that is moving it this moment, or was lost to a
//! fork: it counts as not free, and a free of it as the first one.
//!
//! Nothing is found that is with the program. A block that left a magazine by a pop is above its top for
//! whoever got it since (edge HELD of `heap/bin.rs`). One that was sent home stands in the magazine a while
//! longer, so a heap whose thread is in a slow path is not looked into.
//!
//! Edge BUSY: end of a slow path (Release) → look (Acquire): who sees a thread out of the slow path that sent
//! a block home sees that the block has left the magazine. Who got the block since sees the thread in it, or
//! out of it, by the edges that brought the block.

use super::Heap;
use crate::arena::Arena;
use crate::config::HOMING;
use crate::os::Os;
use crate::slab::noted::Noted;
use crate::units::SizeClass;
use core::sync::atomic::Ordering;

impl Heap {
    /// Whether a block is in this thread's magazine of its class. Any thread may ask.
    pub fn has_at_hand(&self, class: SizeClass, block: *mut u8) -> bool {
        // BUSY (Acquire).
        !self.owned.busy.load(Ordering::Acquire) && self.bin(class).has(block)
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
