//! Outboxes: what threads without a heap free, gathered for the heaps whose blocks they are.
//!
//! ```text
//!   thread ─┐
//!   thread ─┴► an outbox, by the thread's token, under its lock ──full──► a parcel for each heap and class
//! ```
//!
//! A thread that never allocates has no heap, and makes none. The first blocks that it frees go home one by one: most
//! such threads free only what libc made for them, behind their last destructor, and nothing of theirs may wait
//! here. Of one that goes on, a parcel for each block would cost two fences each, on a cache line that all senders
//! write to.

use super::exposed;
use super::registry::Registry;
use super::remote::send_each;
use crate::arena::Arena;
use crate::os::Os;
use crate::row::{Row, part_or_end};
use crate::sync::lock::Lock;
use crate::sync::token::token;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, Ordering, compiler_fence};

/// Outboxes: for as many threads at once that free without a heap.
const BOXES: usize = 16;
const _: () = assert!(BOXES.is_power_of_two());

/// Blocks of an outbox: with its lock and the count, five cache lines.
const ROOM: usize = 37;

pub struct Outboxes(Row<Outbox, BOXES>);

#[repr(align(64))]
struct Outbox {
    held: Lock<Held>,
    /// The heaps that it sent to last are mostly free: blocks kept here would pin their slabs.
    sparse: AtomicBool,
}

/// A block stands in its place before it is counted, so a fork may copy this between any two stores.
struct Held {
    blocks: Row<*mut u8, ROOM>,
    count: usize,
}

// SAFETY: the blocks are free, and the outbox's own.
unsafe impl Send for Held {}

impl Held {
    /// Takes a block in. Whether there is no more room.
    fn put(&mut self, block: *mut u8) -> bool {
        self.blocks[self.count] = block;
        compiler_fence(Ordering::Release);
        self.count += 1;
        self.count == ROOM
    }

    /// All its blocks, and how many they are.
    fn take_all(&mut self) -> ([Cell<*mut u8>; ROOM], usize) {
        let all = (self.blocks.0.map(Cell::new), self.count);
        compiler_fence(Ordering::Release);
        self.count = 0;
        all
    }
}

impl Outbox {
    const fn new() -> Self {
        let held = Held { blocks: Row([core::ptr::null_mut(); ROOM]), count: 0 };
        Outbox { held: Lock::new(held), sparse: AtomicBool::new(false) }
    }

    fn send<O: Os>(&self, arena: &Arena<O>, registry: &Registry, blocks: &[Cell<*mut u8>]) {
        let sparse = send_each(arena, registry, blocks);
        // Relaxed: a hint.
        if self.sparse.load(Ordering::Relaxed) != sparse {
            self.sparse.store(sparse, Ordering::Relaxed);
        }
    }
}

impl Outboxes {
    pub const fn new() -> Self {
        Outboxes(Row([const { Outbox::new() }; BOXES]))
    }

    /// Takes a block of a slab in that the calling thread frees, which has no heap.
    pub fn put<O: Os>(&self, arena: &Arena<O>, registry: &Registry, block: *mut u8) {
        // The upper bits of the product depend on all of the token's.
        let hash = (token() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let outbox = &self.0[(hash >> (u64::BITS - BOXES.trailing_zeros())) as usize];
        // Relaxed: a hint.
        if !outbox.sparse.load(Ordering::Relaxed)
            && let Some(mut held) = outbox.held.try_lock()
        {
            if held.put(exposed(block)) {
                let (blocks, count) = held.take_all();
                drop(held);
                outbox.send(arena, registry, part_or_end(&blocks, 0..count));
            }
            return;
        }
        // It would pin a slab, or another thread is there.
        outbox.send(arena, registry, &[Cell::new(exposed(block))]);
    }

    /// Sends everything home.
    pub fn empty<O: Os>(&self, arena: &Arena<O>, registry: &Registry) {
        for outbox in &self.0.0 {
            let (blocks, count) = outbox.held.lock().take_all();
            outbox.send(arena, registry, part_or_end(&blocks, 0..count));
        }
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
}
