//! Which pointers C's free takes, and what it says of the others.

use super::*;
use crate::allocator::examine::Standing;
use crate::arena::page_map::Entry;
use crate::base::config::HOMING;
use crate::base::units::HeapId;
use crate::slab::{capacity, stamp};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

const SIZES: &[usize] = if cfg!(miri) { &[1000, 5000] } else { &[16, 64, 1000, 5000] };

impl Harness {
    /// What a pointer into a slab is to the thread of a heap.
    fn standing(&self, heap: &Heap, block: *mut u8) -> Standing {
        let Some((granule, entry)) = self.allocator.entry_of(block) else { return Standing::Never };
        self.allocator.standing(Some(heap), granule, entry, block)
    }

    /// A heap whose fresh blocks are stamped, as those of C's threads are.
    fn heap_of_c(&self) -> &Heap {
        let heap = self.heap();
        heap.set_stamps(Stamps::Kept);
        let first = self.alloc(heap, 32, 16).expect("memory");
        // The first free shows the heap where the arena is.
        self.free(heap, first);
        heap
    }

    fn blocks(&self, heap: &Heap, size: usize, count: usize) -> Vec<*mut u8> {
        (0..count).map(|_| self.alloc(heap, size, 16).expect("memory")).collect()
    }
}

#[test]
fn a_freed_block_is_free_wherever_it_went() {
    for &size in SIZES {
        let harness = Harness::new(Sim::new());
        let (owner, other) = (harness.heap_of_c(), harness.heap_of_c());
        let mut blocks = harness.blocks(owner, size, 60);
        // Some stay out, and their slabs with them.
        blocks = blocks.chunks(3).flat_map(|three| &three[..2]).copied().collect();
        assert!(blocks.iter().all(|&block| harness.standing(owner, block) == Standing::Out));
        assert!(blocks.iter().all(|&block| harness.standing(other, block) == Standing::Out));
        // Into the owner's magazine, into another's, to the owner's inbox, back to the slabs.
        let (own, theirs) = blocks.split_at(20);
        for (heap, blocks) in [(owner, own), (other, theirs)] {
            for (at, &block) in blocks.iter().enumerate() {
                harness.free(heap, block);
                for asking in [owner, other] {
                    assert_eq!(harness.standing(asking, block), Standing::Free, "{size} bytes, block {at}");
                }
            }
        }
        harness.give_back(other);
        for heap in [owner, other] {
            assert!(theirs.iter().all(|&block| harness.standing(heap, block) == Standing::Free));
        }
    }
}

#[test]
fn a_live_block_that_carries_the_stamp_is_out() {
    for &size in SIZES {
        let harness = Harness::new(Sim::new());
        let (owner, other) = (harness.heap_of_c(), harness.heap_of_c());
        let blocks = harness.blocks(owner, size, 40);
        // Freed by each, and handed out again.
        blocks.iter().skip(20).for_each(|&block| harness.free(owner, block));
        blocks.iter().take(20).for_each(|&block| harness.free(other, block));
        let again = harness.blocks(owner, size, 20).into_iter().chain(harness.blocks(other, size, 20));
        for block in again {
            // SAFETY: a live block of this test's.
            unsafe { stamp::put(block) };
            for heap in [owner, other] {
                assert_eq!(harness.standing(heap, block), Standing::Out, "{size} bytes");
            }
            harness.free(owner, block);
        }
    }
}

#[test]
fn a_block_that_was_never_handed_out_is_none_or_free() {
    for &size in SIZES {
        let harness = Harness::new(Sim::new());
        let (owner, other) = (harness.heap_of_c(), harness.heap_of_c());
        let class = size_class::of(size);
        // Some of a slab are out, some freed again, some at hand and some not even that.
        let mut out = harness.blocks(owner, size, 10);
        out.drain(3..6).for_each(|block| harness.free(owner, block));
        let start = out[0].addr() - out[0].addr() % GRANULE;
        let block = |at: usize| -> *mut u8 {
            core::ptr::with_exposed_provenance_mut(start + at * size_class::bytes(class))
        };
        for round in 0..2 {
            for block in (0..capacity(class) as usize).map(block) {
                let stands = harness.standing(owner, block);
                assert_eq!(stands == Standing::Out, out.contains(&block), "{size} bytes, {block:?}");
                assert!(out.contains(&block) || !owner.push(block), "{block:?} is taken");
                // Another thread takes the word of the slab: what is at hand of its owner was never out
                // there.
                let never = harness.allocator.usable(block).is_none();
                assert_eq!(harness.standing(other, block) == Standing::Never, never);
                assert!(!never || !other.push(block));
            }
            if round == 0 {
                out.extend(harness.blocks(owner, size, 1));
            }
        }
    }
}

#[test]
fn no_other_place_in_a_slab_is_a_block() {
    for &size in SIZES {
        let harness = Harness::new(Sim::new());
        let (owner, other) = (harness.heap_of_c(), harness.heap_of_c());
        // A young slab, and one that was handed out whole.
        let blocks = harness.blocks(owner, size, capacity(size_class::of(size)) as usize + 1);
        let stride = if cfg!(miri) { 8 * 331 } else { 8 };
        for of in [blocks[0], blocks[blocks.len() - 1]] {
            let start = of.addr() - of.addr() % GRANULE;
            for place in (start..start + GRANULE).step_by(stride) {
                let place: *mut u8 = core::ptr::with_exposed_provenance_mut(place);
                let is_block =
                    (place.addr() % GRANULE).is_multiple_of(size_class::bytes(size_class::of(size)));
                for heap in [owner, other].iter().filter(|_| !is_block) {
                    assert!(!heap.push(place));
                    assert_eq!(harness.standing(heap, place), Standing::Never, "{size} bytes, {place:?}");
                }
            }
        }
    }
}

#[test]
fn the_fast_path_takes_the_blocks_of_young_slabs_once_it_knows_them() {
    let harness = Harness::new(Sim::new());
    let (owner, other) = (harness.heap_of_c(), harness.heap_of_c());
    let blocks = harness.blocks(owner, 64, 30);
    // Whoever carved knows.
    assert!(owner.push(blocks[0]));
    // Another thread looks once, and then knows of as many as were handed out.
    assert!(!other.push(blocks[29]));
    harness.free(other, blocks[29]);
    harness.free(other, blocks[28]);
    assert!(blocks[1..28].iter().take(10).all(|&block| other.push(block)));
}

#[test]
fn only_a_homing_class_is_kept_from_the_fast_path() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap_of_c();
    for class in (1..size_class::CLASSES as u8).map(SizeClass) {
        let block = harness.alloc(heap, size_class::bytes(class), 16).expect("memory");
        assert_eq!(heap.push(block), class < HOMING, "{class:?}");
    }
}

#[test]
fn no_entry_but_a_slabs_leads_to_a_bin_that_takes() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap_of_c();
    let span = harness.alloc(heap, 100_000, 16).expect("memory");
    for place in [0, 16, GRANULE, GRANULE + 16, 3 * GRANULE] {
        assert!(!heap.push(span.wrapping_add(place)));
    }
    let slab = Entry::slab(HeapId(1), SizeClass(3));
    assert_ne!(slab.test_offset(), slab.young().test_offset());
    harness.free(heap, span);
}

/// A block that is out is not found at hand of the thread that handed it out, whatever that one does
/// meanwhile.
#[test]
fn a_block_that_is_out_is_not_found_in_a_magazine_that_moves() {
    let (rounds, turns) = if cfg!(miri) { (4, 4) } else { (2000, 20) };
    let harness = Harness::new(Sim::new());
    let owner = harness.heap_of_c();
    let (out, meet, done) = (AtomicPtr::new(core::ptr::null_mut()), Barrier::new(2), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..rounds {
                // The last stands lowest in the magazine: its slot is the first to be filled again.
                let blocks = harness.blocks(owner, 64, 3);
                out.store(blocks[2], Ordering::Relaxed);
                meet.wait();
                for _ in 0..turns {
                    for &block in &blocks[..2] {
                        harness.free(owner, block);
                    }
                    assert_eq!(harness.blocks(owner, 64, 2), [blocks[1], blocks[0]]);
                }
                meet.wait();
                blocks.iter().for_each(|&block| harness.free(owner, block));
            }
            done.store(true, Ordering::Relaxed);
            meet.wait();
        });
        while {
            meet.wait();
            !done.load(Ordering::Relaxed)
        } {
            let block = out.load(Ordering::Relaxed);
            let found = (0..turns).any(|_| owner.has_at_hand(size_class::of(64), block));
            meet.wait();
            assert!(!found, "a block that is out was found at hand");
        }
    });
}
