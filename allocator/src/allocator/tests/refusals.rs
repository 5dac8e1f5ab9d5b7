//! What the core does where the system refuses, beyond serving the next request: nothing is lost for good,
//! and nothing is asked again and again.

use super::*;
use crate::base::config::DIRTY_FLOOR;

#[test]
fn a_mapping_that_cannot_be_unmapped_is_used_again_or_goes_later() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let (arena, large, size) = (&harness.allocator.arena, &harness.allocator.large, 1 << 20);
    let os = &arena.os;
    let before = os.mapped_bytes();
    let held: Vec<_> = (0..3).map(|_| harness.alloc(heap, size, 16).unwrap()).collect();
    held.into_iter().for_each(|at| harness.free(heap, at));
    os.refuse(Call::Unmap, 0, 3);
    large.shrink_cache(arena, 0, Cause::Program);
    assert_eq!(os.mapped_bytes(), before + 3 * size, "all three were refused");
    let maps = os.calls(Call::Map);
    let (again, other) = (harness.alloc(heap, size, 16).unwrap(), harness.alloc(heap, size, 16).unwrap());
    assert_eq!(os.calls(Call::Map), maps, "addresses that waited serve");
    harness.free(heap, again);
    harness.free(heap, other);
    large.shrink_cache(arena, 0, Cause::Program);
    assert_eq!(os.mapped_bytes(), before, "what waited went with the next");
}

#[test]
fn a_large_block_that_cannot_be_cut_stays_as_it_is() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let held = harness.hold(heap, 4 << 20, 16, 9).unwrap();
    harness.allocator.arena.os.refuse(Call::Remap, 0, 1);
    // SAFETY: a live block, followed to where it moves.
    let same = unsafe { harness.allocator.resize(held.at, 1 << 20) };
    assert!(matches!(same, Resized::To(at) if at == held.at));
    harness.check_and_free(heap, held);
}

#[test]
fn a_refused_purge_is_not_repeated_at_every_free() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let os = &harness.allocator.arena.os;
    // Pages locked in memory refuse to go for as long as they are.
    os.refuse(Call::Purge, 0, usize::MAX / 2);
    // Under Miri just enough to pass the bound.
    let count = if cfg!(miri) { DIRTY_FLOOR / GRANULE / 2 + 4 } else { 400 };
    let take_and_free = || {
        let held: Vec<_> = (0..count).map(|_| harness.alloc(heap, 120_000, SPAN_ALIGN).unwrap()).collect();
        held.into_iter().for_each(|one| harness.free(heap, one));
    };
    take_and_free();
    let purges = os.calls(Call::Purge);
    assert!(purges > 0, "the bound was never passed: the test shows nothing");
    assert!(purges <= 20, "{purges} refused purges for {count} frees");
    os.forgive();
    // Not at the next free, but soon. What was taken again meanwhile is no swing that goes on.
    os.millis.store(1000, Ordering::Relaxed);
    take_and_free();
    os.millis.store(2000, Ordering::Relaxed);
    take_and_free();
    let dirty = harness.allocator.arena.figures().unwrap().dirty.0;
    assert!(dirty <= DIRTY_FLOOR, "{dirty} dirty bytes after the locked pages were let go");
}
