//! Large blocks that come again: from cached pages, and on huge pages.

use super::*;
use crate::base::builder::{Config, HugePages};
use crate::base::config::{DIRTY_FLOOR, HUGE_PAGE};
use crate::large::{Growth, Refusal};

#[test]
fn a_block_longer_than_may_stay_goes_at_first_and_stays_in_part_when_it_comes_again() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let (arena, large) = (&harness.allocator.arena, &harness.allocator.large);
    arena.settings.take_code(&Config::new().swing(0));
    let cached: Vec<_> = (0..10)
        .map(|_| {
            let block = harness.alloc(heap, DIRTY_FLOOR + (5 << 20), 16).unwrap();
            harness.free(heap, block);
            large.figures().cached_bytes
        })
        .collect();
    assert_eq!(cached[..3], [0; 3]);
    assert!((HUGE_PAGE..=DIRTY_FLOOR).contains(&cached[9]), "{cached:?} bytes stay");
    let maps = arena.os.calls(Call::Map);
    harness.alloc(heap, 1 << 20, 16).unwrap();
    assert_eq!(arena.os.calls(Call::Map), maps, "and serve");
}

#[test]
fn a_block_grows_into_cached_pages_behind_it_without_a_call() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let os = &harness.allocator.arena.os;
    let whole = harness.alloc(heap, 4 << 20, 16).unwrap();
    harness.free(heap, whole);
    let held = harness.hold(heap, 1 << 20, 16, 5).unwrap();
    let calls = (os.calls(Call::Map), os.calls(Call::Remap));
    let grown = harness.resize(held.at, 3 << 20).unwrap();
    assert_eq!((grown, calls), (held.at, (os.calls(Call::Map), os.calls(Call::Remap))));
    let figures = harness.allocator.large.figures();
    assert_eq!((figures.live, figures.live_bytes, figures.cached_bytes), (1, 3 << 20, 1 << 20));
    harness.check_and_free(heap, held);
}

/// A block of 1 MiB and cached pages elsewhere, where it is to be copied when it grows to 2 MiB.
fn to_be_copied(harness: &Harness, heap: &Heap) -> (Held, *mut u8) {
    let held = harness.hold(heap, 1 << 20, 16, 5).unwrap();
    let cached = harness.alloc(heap, 3 << 20, 16).unwrap();
    harness.free(heap, cached);
    assert_eq!(harness.resize(held.at, 2 << 20), None, "a copy is to be made");
    (held, cached)
}

#[test]
fn a_block_that_fits_cached_pages_elsewhere_is_copied_there() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let (held, cached) = to_be_copied(&harness, heap);
    assert_eq!(harness.alloc(heap, 2 << 20, 16), Some(cached));
    harness.check_and_free(heap, held);
}

#[test]
fn a_block_whose_copy_was_refused_grows_where_it_is() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let (held, _) = to_be_copied(&harness, heap);
    let small = harness.hold(heap, 100, 16, 6).unwrap();
    // SAFETY: live blocks, followed to where they move.
    unsafe {
        assert_eq!(harness.allocator.resize_without_copy(small.at, 2 << 20), None, "no mapping");
        let at = harness.allocator.resize_without_copy(held.at, 2 << 20).expect("mremap is not refused");
        assert!(harness.allocator.usable(at) >= Some(2 << 20));
        harness.check_and_free(heap, Held { at, ..held });
    }
    harness.check_and_free(heap, small);
}

#[test]
fn what_a_grown_mapping_had_is_cleared_and_the_rest_is_known_to_be_zero() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let held = harness.hold(heap, 1 << 20, 16, 5).unwrap();
    harness.check_and_free(heap, held);
    let grown = harness.allocator.alloc_big(None, 2 << 20, 16).unwrap();
    assert_eq!(grown.zeroed_from, 1 << 20);
    let at = zeroed(Some(grown), 2 << 20);
    // SAFETY: a block of two MiB, cleared or zero.
    let bytes = unsafe { core::slice::from_raw_parts(at, 2 << 20) };
    assert!(all_are(bytes, 0));
}

#[test]
fn first_blocks_ask_for_no_huge_pages_and_recycled_ones_do() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let (arena, large) = (&harness.allocator.arena, &harness.allocator.large);
    let (size, mut blocks) = (HUGE_PAGE + HUGE_PAGE / 2, Vec::new());
    blocks.extend((0..8).map(|_| harness.alloc(heap, size, 16).unwrap()));
    assert_eq!(arena.os.calls(Call::AdviseHuge), 0);
    assert_eq!(large.figures().live_bytes, 8 * size);
    for _ in 0..3 {
        blocks.drain(..).for_each(|block| harness.free(heap, block));
        large.shrink_cache(arena, 0, Cause::Program);
        blocks.extend((0..8).map(|_| harness.alloc(heap, size, 16).unwrap()));
    }
    assert!(arena.os.calls(Call::AdviseHuge) > 0);
    assert_eq!(large.figures().live_bytes, 16 * HUGE_PAGE, "each is whole huge pages");
}

#[test]
fn a_large_request_decides_under_one_lock_and_carries_out_without_it() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let (arena, large) = (&harness.allocator.arena, &harness.allocator.large);
    // How often `run` takes the lock of the large blocks, and the arena's.
    let locks = |run: &mut dyn FnMut()| {
        let count = || (large.locked.load(Ordering::Relaxed), arena.locked.load(Ordering::Relaxed));
        let before = count();
        run();
        (count().0 - before.0, count().1 - before.1)
    };
    let mut block = core::ptr::null_mut();
    assert_eq!(locks(&mut || block = harness.alloc(heap, 1 << 20, 16).unwrap()), (2, 0), "mapped anew");
    assert_eq!(locks(&mut || harness.free(heap, block)), (2, 1), "into the cache");
    assert_eq!(locks(&mut || block = harness.alloc(heap, 1 << 20, 16).unwrap()), (1, 0), "from the cache");
    assert_eq!(locks(&mut || block = harness.resize(block, 3 << 20).unwrap()), (2, 0), "remapped");
    assert_eq!(locks(&mut || assert!(harness.resize(block, 3 << 20).is_some())), (1, 0), "as it is");
    let mut long = core::ptr::null_mut();
    assert_eq!(locks(&mut || long = harness.alloc(heap, 300 << 20, 16).unwrap()), (2, 0));
    assert_eq!(locks(&mut || harness.free(heap, long)), (1, 1), "unmapped");
    assert_eq!(locks(&mut || long = harness.alloc(heap, 64 << 20, 16).unwrap()), (2, 0), "on huge pages");
    assert_eq!(locks(&mut || harness.free(heap, long)), (2, 1), "a part is kept");
    arena.os.refuse_everything(true);
    assert_eq!(locks(&mut || assert_eq!(harness.resize(block, 8 << 20), None)), (2, 0), "refused");
    arena.os.refuse_everything(false);
    harness.free(heap, block);
}

#[test]
fn a_refused_resize_says_why() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let (arena, large) = (&harness.allocator.arena, &harness.allocator.large);
    // SAFETY: live blocks, which stay as they are; and a pointer at which none begins.
    let resize = |block, growth| unsafe { large.resize(arena, block, 2 << 20, growth) };
    let (held, _) = to_be_copied(&harness, heap);
    let usable = 1 << 20;
    assert_eq!(resize(held.at, Growth::Cheapest), Err(Refusal::CopyCostsLess { usable }));
    assert_eq!(resize(held.at.wrapping_add(4096), Growth::Cheapest), Err(Refusal::NoBlock));
    arena.os.refuse_everything(true);
    assert_eq!(resize(held.at, Growth::Forced), Err(Refusal::NoMemory { usable }));
    arena.os.refuse_everything(false);
    harness.check_and_free(heap, held);
}

#[test]
fn a_trim_says_what_went() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    assert_eq!(harness.allocator.trim(Some(heap)).elsewhere.0, 0, "nothing is free yet");
    let large = harness.alloc(heap, 3 << 20, 16).expect("memory");
    let spans: Vec<_> = (0..4).map(|_| harness.alloc(heap, 100_000, 16).expect("memory")).collect();
    harness.free(heap, large);
    spans.into_iter().for_each(|span| harness.free(heap, span));
    let trimmed = harness.allocator.trim(Some(heap));
    let least = (3 << 20) + 4 * 100_000;
    assert!((least..least + (1 << 20)).contains(&trimmed.elsewhere.0), "{trimmed:?}");
    assert_eq!(harness.allocator.trim(Some(heap)).elsewhere.0, 0, "it went already");
}

#[test]
fn huge_pages_are_asked_for_as_the_key_says() {
    let advised_of = |mib: usize, which, rounds| {
        let harness = Harness::new(Sim::new());
        let heap = harness.heap();
        harness.allocator.arena.settings.take_code(&Config::new().huge_pages(which).swing(0));
        for _ in 0..rounds {
            let block = harness.alloc(heap, mib << 20, 16).expect("memory");
            harness.free(heap, block);
        }
        harness.allocator.arena.os.calls(Call::AdviseHuge)
    };
    let advised = |which, rounds| advised_of(12, which, rounds);
    assert_eq!([advised(HugePages::Off, 1), advised(HugePages::Off, 10)], [0, 0]);
    assert_eq!(advised(HugePages::Recycled, 1), 0);
    assert!(advised(HugePages::Recycled, 10) > 0);
    assert_eq!(advised(HugePages::Always, 1), 1);
    // Long ones are at once; one that grows is not.
    let which = [HugePages::Off, HugePages::Recycled, HugePages::Always];
    assert_eq!(which.map(|which| advised_of(16, which, 1)), [0, 1, 1]);
    assert_eq!(which.map(|which| advised_of(300, which, 1)), [0, 0, 1]);
    let harness = Harness::new(Sim::new());
    let block = harness.alloc(harness.heap(), 12 << 20, 16).expect("memory");
    assert!(harness.resize(block, 20 << 20).is_some());
    assert_eq!(harness.allocator.arena.os.calls(Call::AdviseHuge), 0);
}

#[test]
#[cfg_attr(miri, ignore = "megabytes that become dirty")]
fn what_may_stay_dirty_is_what_the_keys_say() {
    let dirty = |config: Config| {
        let harness = Harness::new(Sim::new());
        let heap = harness.heap();
        harness.allocator.arena.settings.take_code(&config);
        let spans: Vec<_> =
            (0..120).map(|_| harness.alloc(heap, 100_000, SPAN_ALIGN).expect("memory")).collect();
        spans.into_iter().for_each(|span| harness.free(heap, span));
        harness.allocator.arena.figures().expect("it started").dirty.0
    };
    assert_eq!(dirty(Config::new().dirty_floor(0).dirty_share(0)), 0);
    let default = dirty(Config::new());
    assert!((4 << 20..=DIRTY_FLOOR).contains(&default), "{default}");
    assert!(dirty(Config::new().dirty_floor(64 << 20)) >= 12_000_000, "all of it");
}
