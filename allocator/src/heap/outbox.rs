//! Outboxes: what threads without a heap free, gathered for the heaps whose blocks they are.
//!
//! ```text
//!   thread ─┐
//!   thread ─┴► an outbox, by the thread's token, under its lock ──enough of a class──► a parcel a heap
//! ```
//!
//! A thread that never allocates has no heap, and makes none. The first blocks that it frees go home one by
//! one: most such threads free only what libc made for them, behind their last destructor, and nothing of
//! theirs may wait here. Of one that goes on, a parcel for each block would cost two fences each, on a cache
//! line that all senders write to. The outboxes are mapped with the first block that waits in one.
#![allow(unsafe_code)]

use super::exposed;
use crate::base::checked::{Checked, at_or_end, part_or_end};
use crate::base::config::HOMING;
use crate::base::size_class::{self, ByClass, CLASSES};
use crate::base::units::SizeClass;
use crate::os::mapped::Zeroed;
use crate::slab::slot::Slot;
use crate::sync::lock::Lock;
use crate::sync::stores::in_order;
use crate::sync::token::token;
use core::sync::atomic::{AtomicBool, Ordering};

/// Outboxes: for as many threads at once that free without a heap.
const BOXES: usize = 8;
const _: () = assert!(BOXES.is_power_of_two());

/// Blocks of a class that wait in an outbox at most, with the one that is too many; and how many bytes they
/// may be.
const ROOM: usize = 16;
const ROOM_BYTES: usize = 4096;

/// The same for each class; 1 where none should wait.
const ROOMS: ByClass<u8> = {
    let mut rooms = [1; 256];
    let mut class = 0;
    while class < HOMING.0 as usize {
        let fit = ROOM_BYTES / size_class::bytes(SizeClass(class as u8));
        rooms[class] = if fit > ROOM { ROOM as u8 } else { (fit + (fit == 0) as usize) as u8 };
        class += 1;
    }
    rooms
};

pub struct Outboxes(Checked<Outbox, BOXES>);

#[repr(align(64))]
struct Outbox {
    held: Lock<Held>,
    /// The heaps that it sent to last are mostly free: blocks kept here would pin their slabs.
    sparse: AtomicBool,
}

// SAFETY: open locks, counts of 0 and empty slots.
unsafe impl Zeroed for Outboxes {}

type Blocks = [Slot; ROOM];

/// A block stands in its place before it is counted, so a fork may copy this between any two stores.
struct Held {
    counts: Checked<u8, CLASSES>,
    blocks: Checked<Blocks, CLASSES>,
}

// SAFETY: the blocks are free, and the outbox's own.
unsafe impl Send for Held {}

impl Held {
    /// Takes a block in. All of its class, if they are as many as may wait.
    fn put(&mut self, class: SizeClass, block: *mut u8) -> Option<Blocks> {
        let count = self.counts[class.0 as usize];
        at_or_end(&self.blocks[class.0 as usize], count as usize).set(block);
        in_order();
        self.counts[class.0 as usize] = count + 1;
        (count + 1 >= ROOMS[class.0 as usize]).then(|| self.take(class).0)
    }

    /// All blocks of a class, and how many they are.
    fn take(&mut self, class: SizeClass) -> (Blocks, usize) {
        let from = &self.blocks[class.0 as usize];
        let blocks: Blocks = core::array::from_fn(|at| Slot::new(at_or_end(from, at).get()));
        in_order();
        (blocks, core::mem::take(&mut self.counts[class.0 as usize]) as usize)
    }
}

impl Outbox {
    /// All blocks of a class that has any, and how many they are.
    fn take_any(&self) -> Option<(Blocks, usize)> {
        let mut held = self.held.lock();
        let class = held.counts.0.iter().position(|&count| count > 0)?;
        Some(held.take(SizeClass(class as u8)))
    }

    /// Notes whether the heaps that it sent to last are mostly free.
    fn note_sparse(&self, sparse: bool) {
        // Relaxed: a hint.
        if self.sparse.load(Ordering::Relaxed) != sparse {
            self.sparse.store(sparse, Ordering::Relaxed);
        }
    }
}

impl Outboxes {
    /// Takes a block of a slab in that the calling thread frees, which has no heap. `send` sends blocks home,
    /// and says whether one of their heaps is mostly free.
    pub fn put(&self, class: SizeClass, block: *mut u8, send: impl FnOnce(&[Slot]) -> bool) {
        // The upper bits of the product depend on all of the token's.
        let hash = (token() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let outbox = &self.0[(hash >> (u64::BITS - BOXES.trailing_zeros())) as usize];
        // Relaxed: a hint.
        let held = if outbox.sparse.load(Ordering::Relaxed) { None } else { outbox.held.try_lock() };
        if let Some(mut held) = held {
            let full = held.put(class, exposed(block));
            drop(held);
            if let Some(blocks) = full {
                outbox.note_sparse(send(part_or_end(&blocks, 0..ROOMS[class.0 as usize] as usize)));
            }
            return;
        }
        // It would pin a slab, or another thread is there.
        outbox.note_sparse(send(&[Slot::new(exposed(block))]));
    }

    /// Has `send` send everything home, as in `put`.
    pub fn empty(&self, mut send: impl FnMut(&[Slot]) -> bool) {
        for outbox in &self.0.0 {
            // Where nothing is, there may be no arena yet.
            while let Some((blocks, count)) = outbox.take_any() {
                outbox.note_sparse(send(part_or_end(&blocks, 0..count)));
            }
        }
    }

    /// Tells how many blocks of a class there are, for each outbox that has any.
    pub fn classes(&self, mut each: impl FnMut(SizeClass, usize)) {
        for outbox in &self.0.0 {
            let held = outbox.held.lock();
            let counts = held.counts.0.iter().zip((0..).map(SizeClass));
            counts.filter(|(count, _)| **count > 0).for_each(|(&count, class)| each(class, count as usize));
        }
    }

    /// Bytes of the blocks in all of them.
    pub fn bytes(&self) -> usize {
        let mut sum = 0;
        self.classes(|class, count| sum += count * size_class::bytes(class));
        sum
    }

    /// # Safety
    /// As for `Allocator::repair_after_fork`.
    pub unsafe fn repair_after_fork(&self) {
        for outbox in &self.0.0 {
            // SAFETY: as the caller vouches. What is counted is there, whoever was caught.
            unsafe { outbox.held.inherit() };
        }
    }

    pub fn is_mine(&self) -> bool {
        self.0.0.iter().any(|outbox| outbox.held.is_mine())
    }

    #[cfg(test)]
    pub fn blocks(&self) -> usize {
        let count = |outbox: &Outbox| {
            let held = outbox.held.lock();
            held.counts.0.iter().map(|&count| count as usize).sum::<usize>()
        };
        self.0.0.iter().map(count).sum()
    }
}
