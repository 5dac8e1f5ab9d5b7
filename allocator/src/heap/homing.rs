//! The short ways of homing classes: their blocks are not for every magazine, so the fast paths of free leave
//! them alone.
#![allow(unsafe_code)]

use super::bin::Seen;
use super::registry::Registry;
use super::{Heap, Stamps, exposed};
use crate::arena::Arena;
use crate::arena::page_map::Entry;
use crate::base::config::{GRANULE, HOMING};
use crate::base::units::{HeapId, SizeClass};
use crate::os::Os;
use crate::slab::noted::Noted;
use crate::slab::slot::Slot;
use crate::slab::stamp;
use crate::slab::starts::index_of;

/// A block of a homing class that a program gives up, of a slab all of whose blocks were handed out once.
#[derive(Clone, Copy)]
pub struct Homing {
    home: HeapId,
    class: SizeClass,
    block: *mut u8,
    stamps: Stamps,
}

impl Homing {
    /// Marks it as free. Where stamps are kept, C's free sees by it that a block comes twice.
    #[inline]
    fn stamp(self) {
        if self.stamps == Stamps::Kept {
            // SAFETY: a block of a slab begins there, and the program gave it up.
            unsafe { stamp::put(self.block) }
        }
    }
}

impl Heap {
    /// What any pointer is, if the page map says that such a block begins there, and it is not stamped as
    /// free where stamps are kept. None where that is not known at once.
    #[inline]
    pub fn homing(&self, block: *mut u8, stamps: Stamps) -> Option<Homing> {
        let entry = self.entry(block)?;
        let (home, class) = entry.as_slab().filter(|(_, class)| *class >= HOMING)?;
        let grown = entry == Entry::slab(home, class);
        let begins = grown && index_of(class, block.addr() % GRANULE).is_some();
        let block = exposed(block);
        // SAFETY: as tested first, a block begins there.
        let live = begins && (stamps == Stamps::None || !unsafe { stamp::is_on(block) });
        live.then_some(Homing { home, class, block, stamps })
    }

    /// Takes one of its own in. False where it is another's, and where its magazine is full: nothing was done
    /// then.
    #[inline]
    pub fn push_homing(&self, block: Homing) -> bool {
        let taken = block.home == self.id() && self.bin(block.class).push::<Seen>(block.block);
        if taken {
            block.stamp();
        }
        taken
    }

    /// Sends another heap's home. False where more is to be done then: it is this heap's own, or its home is
    /// mostly free or nobody's. Nothing was done in that case.
    #[inline]
    pub fn send_homing<O: Os>(&self, arena: &Arena<O>, registry: &Registry, block: Homing) -> bool {
        let home = registry.heap(block.home);
        if block.home == self.id() || home.wants_all_home() {
            return false;
        }
        block.stamp();
        let noted = Noted::nothing();
        _ = home.receive(&home.site(arena, &noted), block.class, &[Slot::new(block.block)]);
        true
    }
}
