//! Medium blocks of a heap's thread: the few that it has at hand, else those of the chunks.
#![allow(unsafe_code)]

use super::Heap;
use crate::arena::Arena;
use crate::base::allocated::Allocated;
use crate::base::checked::part_or_end;
use crate::medium::{Free, Medium, MediumClass, State};
use crate::os::Os;

impl Heap {
    /// A block of a class. Where none is at hand, the thread may have `most` bytes of them from now on.
    pub fn alloc_medium<O: Os>(
        &self,
        arena: &Arena<O>,
        medium: &Medium,
        class: MediumClass,
        most: impl FnOnce() -> usize,
    ) -> Option<Allocated> {
        let at_hand = &self.owned.medium;
        self.while_busy(|| {
            if let Some(free) = at_hand.pop(class) {
                // SAFETY: the block is this thread's.
                unsafe { free.spot.say(State::Out) };
                return Some(free.allocated());
            }
            at_hand.allow(most());
            medium.alloc(arena, class, at_hand.room(class), |free| _ = at_hand.push(free))
        })
    }

    /// Frees a block.
    pub fn free_medium<O: Os>(
        &self,
        arena: &Arena<O>,
        medium: &Medium,
        free: Free,
        most: impl FnOnce() -> usize,
    ) {
        let at_hand = &self.owned.medium;
        self.while_busy(|| {
            // SAFETY: the program gave the block up.
            unsafe { free.spot.say(State::AtHand) };
            // Much is free, and a block at hand may be what keeps it from going: then none is.
            let pins = arena.budget.is_pinned();
            if !pins && at_hand.push(free) {
                return;
            }
            at_hand.allow(if pins { 0 } else { most() });
            let half = (at_hand.bytes() / 2).max(free.spot.class.bytes());
            let (count, oldest) = at_hand.drain(if pins { usize::MAX } else { half });
            let oldest = part_or_end(&oldest, 0..count).iter().map(|free| free.spot);
            let this = if at_hand.push(free) { None } else { Some(free.spot) };
            medium.free(arena, oldest.chain(this));
        })
    }

    /// Puts what is at hand back into its chunks.
    pub(super) fn give_medium_back<O: Os>(&self, arena: &Arena<O>, medium: &Medium) {
        self.while_busy(|| {
            let (count, all) = self.owned.medium.drain(usize::MAX);
            if count > 0 {
                medium.free(arena, part_or_end(&all, 0..count).iter().map(|free| free.spot));
            }
        });
    }
}
