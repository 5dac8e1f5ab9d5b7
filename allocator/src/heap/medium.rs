//! Medium blocks of a heap's thread: the few that it has at hand, else those of the chunks.
#![allow(unsafe_code)]

use super::{Heap, exposed};
use crate::arena::Arena;
use crate::base::allocated::Allocated;
use crate::medium::{Free, Medium, MediumClass, Side, State, look_up};
use crate::os::Os;
use core::iter::once;

impl Heap {
    /// A block that the thread has at hand for a request of a class.
    #[inline]
    pub fn pop_medium(&self, class: MediumClass) -> Option<Allocated> {
        let at_hand = &self.owned.medium;
        // Before anything is written: the heap may be `EMPTY`.
        let class = at_hand.serves(class)?;
        self.while_busy(|| {
            let free = at_hand.pop(class)?;
            // SAFETY: the block is this thread's.
            unsafe { free.spot.say(State::Out) };
            Some(free.allocated())
        })
    }

    /// The same for a block that is given up: the thread has it at hand from now on. False where nothing was
    /// done: it is no medium block, not seen to be one at once, or there is no room.
    #[inline]
    pub fn push_medium<O: Os>(&self, arena: &Arena<O>, block: *mut u8) -> bool {
        let Some(entry) = self.entry(block) else { return false };
        let (Some(place), Some(geometry)) = (entry.in_chunk(), arena.geometry()) else { return false };
        // SAFETY: as in `Allocator::medium_at`.
        let found = unsafe { look_up(&geometry, geometry.granule_of(block.addr()), place, block.addr()) };
        let Some((spot, State::Out)) = found else { return false };
        !arena.budget.is_pinned()
            && self.while_busy(|| {
                let pushed = self.owned.medium.push(Free { block: exposed(block), spot, clean: false });
                if pushed {
                    // SAFETY: the program gave the block up.
                    unsafe { spot.say(State::AtHand) };
                }
                pushed
            })
    }

    /// A block of a class that the thread does not have at hand.
    pub fn alloc_medium<O: Os>(
        &self,
        arena: &Arena<O>,
        medium: &Medium,
        class: MediumClass,
    ) -> Option<Allocated> {
        let at_hand = &self.owned.medium;
        self.while_busy(|| {
            self.allow_medium(arena, self.medium_share(arena));
            let wanted = at_hand.wanted(class);
            let allocated =
                medium.alloc(arena, class, Side::of(self.id()), wanted, |free| _ = at_hand.push(free));
            at_hand.note_refill();
            allocated
        })
    }

    /// Frees a block.
    pub fn free_medium<O: Os>(&self, arena: &Arena<O>, medium: &Medium, free: Free) {
        let at_hand = &self.owned.medium;
        self.while_busy(|| {
            // SAFETY: the program gave the block up.
            unsafe { free.spot.say(State::AtHand) };
            // Much is free, and a block at hand may be what keeps it from going: then none is.
            let most = if arena.budget.is_pinned() { 0 } else { self.medium_share(arena) };
            self.allow_medium(arena, most);
            if at_hand.push(free) {
                return;
            }
            // It may have less than it has: none, or since there are more threads.
            let beyond = (at_hand.bytes() + free.spot.class.bytes()).saturating_sub(most);
            medium.free(arena, at_hand.drain(at_hand.unwanted().max(beyond)).map(|free| free.spot));
            if !at_hand.push(free) {
                medium.free(arena, once(free.spot));
            }
        })
    }

    /// Bytes that are its thread's share of what may be at hand.
    fn medium_share<O: Os>(&self, arena: &Arena<O>) -> usize {
        arena.budget.allowance.share(&arena.settings, self.medium_allowed())
    }

    /// From now on its thread may have so many bytes at hand.
    fn allow_medium<O: Os>(&self, arena: &Arena<O>, bytes: usize) {
        arena.budget.allowance.change(self.owned.medium.allow(bytes), bytes);
    }

    /// Bytes that its thread may have at hand.
    pub(super) fn medium_allowed(&self) -> usize {
        self.owned.medium.most()
    }

    /// Puts what is at hand back into its chunks.
    pub(super) fn give_medium_back<O: Os>(&self, arena: &Arena<O>, medium: &Medium) {
        let at_hand = &self.owned.medium;
        self.while_busy(|| {
            if at_hand.bytes() > 0 {
                medium.free(arena, at_hand.drain(usize::MAX).map(|free| free.spot));
            }
            self.allow_medium(arena, 0);
        });
    }
}
