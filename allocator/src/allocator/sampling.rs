//! The heap profile's hooks in the slow paths: what is allocated there is counted, and what is freed is
//! looked up.
//!
//! A class's blocks are counted by their magazine (`heap/aside.rs`). Every other block comes by a slow path
//! each time, and is drawn for by itself. Both take a block with the same probability, which only its length
//! says.

use super::Allocator;
use super::place::Place;
use crate::base::allocated::Allocated;
use crate::base::config::{PROFILE, STACK_DEPTH};
use crate::base::random::weight;
use crate::base::size_class;
use crate::base::units::SizeClass;
use crate::heap::Heap;
use crate::os::Os;
use crate::samples::{Sample, Sampled, is_on};

impl<O: Os> Allocator<O> {
    /// Begins a profile, of a sample in `rate` bytes in the mean. Threads take part from their next slow path
    /// on, which the next free of each is. The caller sees to it that nobody else starts or stops one. False
    /// where there is no memory for it.
    pub fn start_profile(&self, rate: usize, seed: u64) -> bool {
        if !self.samples.start(&self.arena.os, rate, seed, self.arena.os.micros()) {
            return false;
        }
        if self.registry.count() > 0 {
            self.arena.os.have_all_threads_see();
            self.registry.for_each(Heap::refuse_pushes);
        }
        true
    }

    /// Ends it. Threads have their fast paths back from their next slow path on.
    pub fn stop_profile(&self) {
        self.samples.stop();
    }

    /// At the start of a slow path: has the calling thread's heap take part in a profile that began, and
    /// leave one that ended.
    #[inline]
    pub fn follow_profile(&self, heap: &Heap) {
        if heap.is_behind(self.samples) {
            self.follow_anew(heap);
        }
    }

    #[cold]
    #[inline(never)]
    fn follow_anew(&self, heap: &Heap) {
        heap.follow_session(self.samples, |block| _ = self.forget_sample(block));
    }

    /// A block of a class, for a heap that takes part in a profile, whose thread was shown none. `slow` is
    /// asked where the heap has none at all.
    pub fn alloc_counted(
        &self,
        heap: &Heap,
        class: SizeClass,
        asked: usize,
        slow: impl FnOnce() -> Option<Allocated>,
    ) -> Option<Allocated> {
        let counted = heap.count_one(self.samples, class);
        let block = heap.pop_joined(class, &counted);
        let allocated = if block.is_null() { slow()? } else { Allocated::unknown(block) };
        if counted.is_sample {
            self.take_sample(allocated.block, asked, size_class::bytes(class));
        }
        Some(allocated)
    }

    /// Draws for a block that no magazine counted.
    pub fn draw_for(&self, block: *mut u8, asked: usize, bytes: usize) {
        if self.is_profiling() && self.samples.takes(bytes) {
            self.take_sample(block, asked, bytes);
        }
    }

    #[inline]
    pub fn is_profiling(&self) -> bool {
        PROFILE && self.samples.is_on()
    }

    /// Looks whether a block that is freed is a sampled one. Whether it was.
    #[inline]
    pub fn forget_sample(&self, block: *mut u8) -> bool {
        if !self.is_profiling() {
            return false;
        }
        let lifted = self.samples.lift(block);
        lifted.into_iter().for_each(|sampled| self.drop_sample(block, sampled));
        lifted.is_some()
    }

    /// Takes a sampled block out of the profile for now, if it is one.
    pub fn lift_sample(&self, block: *mut u8) -> Option<Sampled> {
        self.samples.lift(block)
    }

    pub fn put_sample_back(&self, block: *mut u8, sampled: Sampled) {
        self.samples.put_back(&self.arena.os, block, sampled);
    }

    /// What was lifted is freed.
    pub fn drop_sample(&self, block: *mut u8, sampled: Sampled) {
        self.arena.os.tell_free(block);
        self.samples.count_free(sampled, self.arena.os.micros());
    }

    /// Whether no class serves a block.
    pub fn is_big(&self, block: *mut u8) -> bool {
        matches!(self.place_of(block), Place::Span(..) | Place::Outside)
    }

    #[cold]
    #[inline(never)]
    fn take_sample(&self, block: *mut u8, asked: usize, bytes: usize) {
        if !is_on(self.samples.session()) {
            return;
        }
        let mut stack = [0; STACK_DEPTH];
        let depth = self.arena.os.stack(&mut stack);
        let sample =
            Sample { stack: stack.get(..depth).unwrap_or(&[]), bytes, asked, now: self.arena.os.micros() };
        self.samples.note(&self.arena.os, block, &sample);
        let stands_for = weight(bytes, self.samples.rate()) * bytes as f64;
        self.arena.os.tell_sample(block, bytes, stands_for as usize);
    }
}
