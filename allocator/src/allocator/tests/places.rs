//! Pointers at which no block begins, and sizes that a block was not asked for with.

use super::*;
use crate::medium::MediumClass;

/// Sizes of classes whose block size is a power of two and not, and of 16 bytes.
const SMALL: [usize; 5] = [16, 48, 1000, 5000, 32 * 1024];

#[test]
fn a_block_is_one_at_its_start_alone() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    for size in [&SMALL[..], &[70_000, 200_000]].concat() {
        let at = harness.alloc(heap, size, 16).unwrap();
        assert!(harness.allocator.usable(at) >= Some(size));
        for inside in [1, 8, 16, 4096, GRANULE].into_iter().filter(|&inside| inside < size) {
            let wrong = at.wrapping_add(inside);
            assert_eq!(harness.allocator.usable(wrong), None, "{inside} into {size}");
            // SAFETY: no block begins there, so none is resized.
            let resized = unsafe { harness.allocator.resize(wrong, size / 2 + 1) };
            assert!(matches!(resized, Resized::NoBlock), "{inside} into {size}");
        }
        harness.free(heap, at);
    }
}

#[test]
fn a_block_that_was_never_handed_out_is_none() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    for size in SMALL {
        let first = harness.alloc(heap, size, 16).unwrap();
        let usable = harness.allocator.usable(first).unwrap();
        let slab = first.wrapping_sub(first.addr() % GRANULE);
        let last = slab.wrapping_add((GRANULE / usable - 1) * usable);
        // Handed out by now: all of the larger ones, at once.
        let carved = harness.alloc(heap, size, 16) == Some(last) || usable * 2 >= GRANULE;
        assert_eq!(harness.allocator.usable(last).is_some(), carved, "the last of {size}");
        let rest = GRANULE % usable;
        if rest != 0 {
            assert_eq!(harness.allocator.usable(slab.wrapping_add(GRANULE - rest)), None, "behind the last");
        }
    }
}

#[test]
fn a_slab_that_went_back_has_no_blocks() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let at = harness.alloc(heap, 1000, 16).unwrap();
    harness.free(heap, at);
    harness.allocator.trim(Some(heap));
    assert_eq!(harness.allocator.usable(at), None);
    // Of another class, where fewer blocks were handed out.
    let held: Vec<_> = (0..70).map(|_| harness.alloc(heap, 48, 16).unwrap()).collect();
    assert_eq!(held[0].addr() / GRANULE, at.addr() / GRANULE, "the granule serves again");
    assert!(held.iter().all(|&block| harness.allocator.usable(block) == Some(48)));
    let behind = at.wrapping_sub(at.addr() % GRANULE).wrapping_add(1000 * 48);
    assert_eq!(harness.allocator.usable(behind), None, "the slab before had no such block either");
}

#[test]
fn the_child_of_a_fork_knows_the_blocks_it_inherits() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let held: Vec<_> = (0..if cfg!(miri) { 40 } else { 300 })
        .map(|k| harness.hold(heap, 48, 16, k as u8).unwrap())
        .collect();
    harness.elsewhere(Allocator::leak_every_lock);
    harness.repair(heap);
    assert!(held.iter().all(|one| harness.allocator.usable(one.at) == Some(48)));
}

/// Whether a block that was asked for with one size and alignment passes as another.
fn passes(harness: &Harness, asked: (usize, usize), told: (usize, usize)) -> bool {
    let heap = harness.heap();
    let at = harness.alloc(heap, asked.0, asked.1).unwrap();
    let answer = harness.allocator.may_have_size(at, told.0, told.1);
    harness.free(heap, at);
    // SAFETY: the harness does not use it again.
    unsafe { harness.allocator.registry.park(&harness.allocator.arena, heap.id()) };
    answer.expect("a block")
}

const BIG: [usize; 6] = [32 * 1024 + 1, 65_536, 65_537, 128 * 1024 - 1, 128 * 1024, 3 << 20];

#[test]
fn the_size_that_was_asked_for_passes() {
    let harness = Harness::new(Sim::new());
    for size in (0..3000).step_by(if cfg!(miri) { 477 } else { 1 }).chain(SMALL).chain(BIG) {
        assert!(passes(&harness, (size, 16), (size, 16)), "{size}");
    }
    for shift in (0..=18).step_by(if cfg!(miri) { 6 } else { 1 }) {
        for size in [0, 1, 100, 1000, 5000, 40_000, 200_000] {
            assert!(passes(&harness, (size, 1 << shift), (size, 1 << shift)), "{size} at 1 << {shift}");
        }
    }
}

#[test]
fn a_size_of_another_class_does_not_pass() {
    let harness = Harness::new(Sim::new());
    let each = if cfg!(miri) { [&SMALL[3..], &BIG[..2]] } else { [&SMALL[..], &BIG] }.concat();
    for &asked in &each {
        for &told in each.iter().filter(|&&told| told != asked) {
            // A medium block is told by its class, or one of two above it; a mapping by its pages.
            let alike = match (MediumClass::of(asked), MediumClass::of(told)) {
                (Some(own), Some(class)) if asked < 128 * 1024 => class.may_be(own),
                _ => asked >= 128 * 1024 && asked.div_ceil(4096) == told.div_ceil(4096),
            };
            assert_eq!(passes(&harness, (asked, 16), (told, 16)), alike, "{asked} as {told}");
        }
    }
    assert!(!passes(&harness, (100, 4096), (100, 16)) && !passes(&harness, (100, 16), (100, 4096)));
}

#[test]
fn a_block_that_stayed_as_it_was_when_it_shrank_passes_with_its_new_size() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let at = harness.alloc(heap, 1024, 16).unwrap();
    assert_eq!(harness.allocator.may_have_size(at, 600, 16), Some(false));
    assert_eq!(harness.resize(at, 600), Some(at));
    assert_eq!(harness.allocator.may_have_size(at, 600, 16), Some(true));
    assert_eq!(harness.allocator.may_have_size(at, 511, 16), Some(false), "less than half would have moved");
    harness.allocator.sizes.note(Unlike::Refused);
    assert_eq!(harness.allocator.may_have_size(at, 1, 16), Some(true), "but for the want of memory");
    assert_eq!(harness.allocator.may_have_size(at, 1025, 16), Some(false));
}

#[test]
fn an_aligned_block_passes_without_its_alignment_once_there_are_any() {
    let harness = Harness::new(Sim::new());
    harness.allocator.note_alignment(100);
    for shift in (5..=15).step_by(if cfg!(miri) { 5 } else { 1 }) {
        for size in [0, 1, 100, 1000, 5000] {
            assert!(passes(&harness, (size, 1 << shift), (size, 1)), "{size} at 1 << {shift}");
        }
    }
    assert!(!passes(&harness, (1000, 16), (900, 1)), "no alignment makes a block of 1008 bytes of 900");
}

#[test]
fn a_mapping_passes_that_is_longer_because_it_was_at_hand() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let keep = harness.alloc(heap, 8 << 20, 16).unwrap();
    let first = harness.alloc(heap, 400_000, 16).unwrap();
    harness.free(heap, first);
    let again = harness.alloc(heap, 380_000, 16).unwrap();
    assert_eq!(again, first, "the test shows nothing without the cache");
    assert!(harness.allocator.usable(again) > Some(400_000));
    assert_eq!(harness.allocator.may_have_size(again, 380_000, 16), Some(true));
    assert_eq!(harness.allocator.may_have_size(again, 100_000, 16), Some(false));
    // A mapping that the kernel would not cut.
    harness.allocator.arena.os.refuse(Call::Remap, 0, 1);
    assert_eq!(harness.resize(keep, 1 << 20), Some(keep));
    assert_eq!(harness.allocator.may_have_size(keep, 1 << 20, 16), Some(true));
}
