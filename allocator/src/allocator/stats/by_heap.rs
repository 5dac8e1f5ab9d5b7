//! The threads' heaps, one by one.
#![forbid(unsafe_code)]

use crate::allocator::Allocator;
use crate::os::Os;

/// What a thread's heap has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeapStats {
    /// The heap, counted from 1.
    pub number: u32,
    /// Its thread by the kernel's number, or 0 where that is not known, and where the heap waits for one.
    pub thread: u32,
    /// Its slabs.
    pub slab_bytes: usize,
    /// Of them what may have pages behind it.
    pub resident: usize,
    /// Blocks of its slabs that are with the program, in a magazine of any thread, or on their way home.
    pub used: usize,
    /// What its thread has at hand, of any heap's slabs and of chunks; and what came home, or is on its way,
    /// and was not put back yet.
    pub cached: usize,
}

impl<O: Os> Allocator<O> {
    /// Looks at each heap that has anything, without its lock.
    pub fn heaps(&self) -> impl Iterator<Item = HeapStats> {
        let numbers = 0..self.registry.count();
        numbers.filter_map(|seat| {
            let of = self.registry.at(seat as usize, |heap| heap.glance())?;
            Some(HeapStats {
                number: seat + 1,
                thread: of.thread,
                slab_bytes: of.slabs,
                resident: of.resident,
                used: of.used,
                cached: of.at_hand + of.medium + of.kept + of.waiting,
            })
        })
    }
}
