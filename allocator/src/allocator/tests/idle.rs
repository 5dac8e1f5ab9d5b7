//! What lies unused: by time, and who sleeps until there is any.

use super::*;

const MIB: usize = 1 << 20;

fn dirty(harness: &Harness) -> usize {
    let arena = harness.allocator.arena.figures().map_or(0, |arena| arena.dirty.0);
    arena + harness.allocator.large.figures().cached_bytes
}

/// Blocks of the arena, and mappings.
fn churn(harness: &Harness, heap: &Heap, spans: usize, large: usize) {
    let sizes = (0..spans).map(|_| 100_000).chain((0..large).map(|_| MIB / 2));
    let held: Vec<_> = sizes.map(|size| harness.hold(heap, size, 16, 1).expect("memory")).collect();
    held.into_iter().for_each(|one| harness.check_and_free(heap, one));
}

#[test]
fn what_nobody_took_in_a_period_goes_and_what_was_taken_stays() {
    let harness = Harness::new(Sim::new());
    let (heap, allocator) = (harness.heap(), &harness.allocator);
    churn(&harness, heap, 20, 4);
    allocator.purge_idle();
    let all = dirty(&harness);
    assert!(all >= 4 * MIB, "{all}: it came in this period");
    churn(&harness, heap, 10, 2);
    allocator.purge_idle();
    let half = dirty(&harness);
    assert!((2 * MIB..3 * MIB).contains(&half), "{half} of {all}");
    allocator.purge_idle();
    assert_eq!(dirty(&harness), 0);
    assert!(!allocator.is_dirty());
}

#[test]
fn who_sleeps_is_woken_once_by_what_becomes_dirty() {
    let harness = Harness::new(Sim::new());
    let (heap, allocator) = (harness.heap(), &harness.allocator);
    let (sleeper, os) = (&allocator.arena.budget.sleeper, &allocator.arena.os);
    for (spans, large) in [(1, 0), (0, 1)] {
        allocator.trim(Some(heap));
        assert!(!allocator.is_dirty());
        let before = os.wakes.load(Ordering::Relaxed);
        churn(&harness, heap, spans, large);
        assert_eq!(os.wakes.load(Ordering::Relaxed), before, "nobody sleeps");
        allocator.trim(Some(heap));
        sleeper.lie_down();
        let block = harness.alloc(heap, 100, 16).expect("memory");
        harness.free(heap, block);
        assert_eq!(os.wakes.load(Ordering::Relaxed), before, "a small block makes nothing dirty");
        churn(&harness, heap, 2 * spans, 2 * large);
        assert_eq!(os.wakes.load(Ordering::Relaxed), before + 1);
        sleeper.sleep(os);
        assert!(allocator.is_dirty() && !sleeper.is_asleep());
    }
}

#[test]
fn a_mapping_that_goes_at_once_wakes_nobody() {
    let harness = Harness::new(Sim::new());
    let (heap, allocator) = (harness.heap(), &harness.allocator);
    let block = harness.alloc(heap, 12 * MIB, 16).expect("memory");
    allocator.arena.budget.sleeper.lie_down();
    harness.free(heap, block);
    assert_eq!((dirty(&harness), allocator.arena.os.wakes.load(Ordering::Relaxed)), (0, 0));
}
