//! Whose blocks a thread keeps at hand, and when they go home.

use super::*;
use crate::base::builder::Config;
use crate::base::config::{FEW_BYTES, FEW_IN_ALL, FEW_REOPENED, HOMING, MAGAZINE_MIN};

/// More than a magazine of the class holds at first, and fewer than half of what it holds at most.
const SOME: usize = 40;
const SIZE: usize = 64;

fn blocks(harness: &Harness, heap: &Heap, size: usize, count: usize) -> Vec<*mut u8> {
    (0..count).map(|_| harness.alloc(heap, size, 16).expect("memory")).collect()
}

/// Which of `count` blocks of one heap another one hands out that freed them.
fn reused(size: usize, count: usize) -> Vec<*mut u8> {
    let harness = Harness::new(Sim::new());
    let (owner, other) = (harness.heap(), harness.heap());
    let theirs = blocks(&harness, owner, size, count);
    theirs.iter().for_each(|&block| harness.free(other, block));
    blocks(&harness, other, size, count).into_iter().filter(|block| theirs.contains(block)).collect()
}

#[test]
fn a_thread_hands_out_again_what_it_freed_of_another() {
    let reused = reused(SIZE, SOME);
    assert!(reused.len() >= SOME / 4, "{} of {SOME}", reused.len());
}

#[test]
fn a_single_block_of_another_goes_home() {
    assert_eq!(reused(SIZE, 1), []);
}

#[test]
fn a_block_of_a_homing_class_goes_home() {
    let size = size_class::bytes(HOMING);
    assert_eq!(reused(size, SOME), []);
    assert_ne!(reused(size - size / 4, SOME), []);
}

#[test]
fn a_thread_keeps_its_own_blocks_of_a_homing_class_at_hand() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let block = blocks(&harness, heap, size_class::bytes(HOMING), 2)[1];
    harness.free(heap, block);
    assert_eq!(heap.pop(HOMING), block);
}

#[test]
fn blocks_of_a_homing_class_have_short_ways() {
    let harness = Harness::new(Sim::new());
    let (owner, other) = (harness.heap(), harness.heap());
    let (arena, registry) = (&harness.allocator.arena, &harness.allocator.registry);
    let size = size_class::bytes(HOMING);
    let slab = GRANULE / size;
    // A slab that is grown, and one that is young.
    let held = blocks(&harness, owner, size, slab + 1);
    for heap in [owner, other] {
        heap.follow_window(arena);
        assert!(heap.homing(core::ptr::null_mut(), Stamps::Kept).is_none());
        assert!(heap.homing(held[0].wrapping_add(16), Stamps::None).is_none(), "no block begins there");
        assert!(heap.homing(held[slab], Stamps::Kept).is_none(), "its slab is young");
    }
    let small = blocks(&harness, owner, SIZE, 1)[0];
    assert!(owner.homing(small, Stamps::Kept).is_none(), "of another class");

    let mine = owner.homing(held[0], Stamps::Kept).expect("a block of a homing class");
    assert!(!owner.send_homing(arena, registry, mine) && owner.push_homing(mine));
    assert!(owner.homing(held[0], Stamps::Kept).is_none(), "it is free");
    assert_eq!(owner.pop(HOMING), held[0]);
    harness.free(owner, small);

    let theirs = other.homing(held[1], Stamps::Kept).expect("as above");
    assert!(!other.push_homing(theirs) && other.send_homing(arena, registry, theirs));
    assert!(other.homing(held[1], Stamps::Kept).is_none(), "it is free");
    let again = blocks(&harness, owner, size, 2 * slab);
    assert!(again.contains(&held[1]), "its owner hands it out again");

    // Nobody would come to take it.
    harness.end(owner.id());
    let late = other.homing(held[2], Stamps::Kept).expect("as above");
    assert!(!other.send_homing(arena, registry, late));
}

#[test]
fn what_was_kept_of_another_goes_home_in_the_end() {
    let harness = Harness::new(Sim::new());
    let (owner, other) = (harness.heap(), harness.heap());
    for &block in &blocks(&harness, owner, SIZE, 10 * SOME) {
        harness.free(other, block);
    }
    for heap in [other, owner] {
        harness.give_back(heap);
        harness.allocator.trim(None);
    }
    assert_eq!(harness.allocator.arena.figures().unwrap().in_use.0, 0);
}

/// Slabs of a size of which every block is freed but one in a slab, by their addresses. The blocks that stay.
fn mostly_free(harness: &Harness, heap: &Heap, size: usize, slabs: usize) -> Vec<*mut u8> {
    let held = blocks(harness, heap, size, slabs * (GRANULE / size));
    let (kept, freed): (Vec<_>, Vec<_>) = held.into_iter().partition(|block| block.addr() % GRANULE == 0);
    freed.iter().for_each(|&block| harness.free(heap, block));
    kept
}

#[test]
#[cfg_attr(miri, ignore = "too many blocks")]
fn a_heap_that_is_mostly_free_keeps_little_at_hand() {
    const SIZE: usize = 1024;
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let kept = mostly_free(&harness, heap, SIZE, 60);
    let (slabs, used) = heap.slab_figures(&harness.allocator.arena);
    assert_eq!(slabs, kept.len() * GRANULE);
    assert!(used <= kept.len() * SIZE + 16 * 1024, "{used} bytes are out for {} blocks", kept.len());
}

#[test]
#[cfg_attr(miri, ignore = "too many blocks")]
fn what_a_heap_that_is_mostly_free_keeps_is_few_of_each_class_and_in_all() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let sizes = [16, 48, 64, 96, 128, 160, 224, 256, 320, 448, 640, 896, 1280, 2048, 3072];
    let held = sizes.map(|size| blocks(&harness, heap, size, SOME / 4));
    let kept = mostly_free(&harness, heap, 1024, 400);
    let mut in_all = 0;
    for (size, blocks) in sizes.into_iter().zip(held) {
        let few = (FEW_BYTES / size).min(FEW_REOPENED as usize);
        let at_hand =
            || blocks.iter().filter(|&&block| heap.has_at_hand(size_class::of(size), block)).count();
        let now = blocks.iter().map(|&block| {
            harness.free(heap, block);
            at_hand()
        });
        let most = now.max().expect("blocks");
        assert!(most <= few, "{most} blocks of {size} bytes");
        assert!(at_hand() <= most.div_ceil(2), "what was full went home");
        in_all += most;
    }
    assert!(in_all > FEW_IN_ALL as usize / 2 && in_all <= FEW_IN_ALL as usize, "{in_all}");
    kept.into_iter().for_each(|block| harness.free(heap, block));
}

#[test]
fn blocks_come_in_the_order_of_addresses() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let first = blocks(&harness, heap, SIZE, 5);
    assert!(first.is_sorted());
    first.iter().for_each(|&block| harness.free(heap, block));
    harness.give_back(heap);
    assert!(blocks(&harness, heap, SIZE, 5).is_sorted());
}

#[test]
#[cfg_attr(miri, ignore = "thousands of blocks")]
fn a_thread_keeps_as_many_at_hand_as_the_key_says() {
    let count = 3000;
    let at_hand = |config: Config| {
        let harness = Harness::new(Sim::new());
        let heap = harness.heap();
        harness.allocator.arena.settings.take_code(&config);
        // Again and again: a magazine grows by being empty.
        for _ in 0..4 {
            let taken = blocks(&harness, heap, SIZE, count);
            taken.into_iter().for_each(|block| harness.free(heap, block));
        }
        (0..count).take_while(|_| !heap.pop(size_class::of(SIZE)).is_null()).count()
    };
    let some = at_hand(Config::new().thread_cache(4096));
    assert!((4096 / SIZE / 2..=4096 / SIZE).contains(&some), "{some} blocks");
    assert!((1..=MAGAZINE_MIN as usize).contains(&at_hand(Config::new().thread_cache(0))));
    assert!(at_hand(Config::new()) > 2 * some, "by default");
}
