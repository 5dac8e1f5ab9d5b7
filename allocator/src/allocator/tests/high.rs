//! High addresses: 48 bits as aarch64 has them, and the 57 of x86-64 and riscv64. The memory is none: where
//! blocks are is what counts.

use super::*;
use crate::arena::page_map::Entry;
use crate::base::config::{ADDRESSES, GRANULE};
use crate::base::units::{GranuleIdx, Granules, Run};
use crate::base::why::OF_ZONE;
use crate::os::aligned::map_below;

const MIB: usize = 1 << 20;
const LEN: Granules = Granules(16);

/// Takes runs of the arena's, as many bytes as grow it often; each is described, and is nobody else's.
fn runs(harness: &Harness) -> Vec<Run> {
    let arena = &harness.allocator.arena;
    let take = |_| arena.alloc_run(LEN, Granules(1), Entry::span(LEN)).expect("a run");
    let runs: Vec<Run> = (0..if cfg!(miri) { 4 } else { 300 }).map(take).collect();
    let geometry = arena.started();
    let mut starts: Vec<usize> = runs.iter().map(|run| geometry.addr_of(run.head)).collect();
    for &start in &starts {
        assert!(start + MIB <= ADDRESSES, "{start:#x}");
        for (addr, entry) in [(start, Entry::span(LEN)), (start + MIB - 1, Entry::SPAN_BODY)] {
            assert!(
                arena.entry_at(geometry, addr) == entry && arena.entry_elsewhere(geometry, addr) == entry,
                "{addr:#x}"
            );
            // What is as far away as there are addresses is another place.
            let far = [addr + ADDRESSES, addr + (ADDRESSES << 8)];
            assert!(far.iter().all(|&far| arena.entry_at(geometry, far) == Entry::FREE), "{addr:#x}");
        }
    }
    starts.sort_unstable();
    assert!(starts.is_sorted_by(|one, next| one + MIB <= *next), "{starts:x?}");
    runs
}

/// Gives all of it back.
fn give_back(harness: &Harness, runs: Vec<Run>) {
    let arena = &harness.allocator.arena;
    let geometry = arena.started();
    let heads: Vec<GranuleIdx> = runs.iter().map(|run| run.head).collect();
    runs.into_iter().for_each(|run| arena.free_run(run, Bytes(GRANULE)));
    harness.allocator.trim(None);
    assert!(heads.iter().all(|&head| arena.entry_at(geometry, geometry.addr_of(head)) == Entry::FREE));
    let figures = arena.figures().expect("an arena");
    assert_eq!((figures.in_use.0, figures.dirty.0), (0, 0));
}

/// Of these places every second one under Miri.
fn some<const N: usize>(places: [usize; N]) -> impl Iterator<Item = usize> {
    places.into_iter().step_by(if cfg!(miri) { 2 } else { 1 })
}

/// Large blocks wherever the system puts them.
fn large(harness: &Harness, least: usize) {
    let heap = harness.heap();
    let blocks: Vec<_> = (0..if cfg!(miri) { 6 } else { 200 })
        .map(|at| (MIB + at * 8192, harness.alloc(heap, MIB + at * 8192, 16).expect("memory")))
        .collect();
    for &(size, block) in &blocks {
        assert!(block.addr() >= least, "{block:?}");
        assert_eq!(harness.allocator.usable(block), Some(size.next_multiple_of(4096)));
    }
    blocks.into_iter().for_each(|(_, block)| harness.free(heap, block));
    harness.allocator.trim(Some(heap));
    assert_eq!(harness.allocator.stats().large_bytes, 0);
}

#[test]
fn regions_and_large_blocks_are_served_up_to_48_bits_of_addresses() {
    // The first is in 39 bits, and far enough below where emulators put memory of the test's own.
    let high = [1 << 37, (1 << 47) - 64 * MIB, 1 << 47, (1 << 48) - (1 << 33)];
    for high in some(high) {
        let harness = Harness::new(Sim::with_mappings_at(high));
        let runs = runs(&harness);
        let geometry = harness.allocator.arena.started();
        let highest = runs.iter().map(|run| geometry.addr_of(run.head)).max();
        // The first region is there, and too short for a run; the others lie below it.
        assert!(highest >= Some(high - MIB), "{highest:x?}");
        large(&harness, high);
        give_back(&harness, runs);
    }
}

#[test]
fn where_mappings_are_beyond_48_bits_the_arena_asks_for_low_ones_and_large_blocks_stay() {
    for high in some([(1 << 48) - MIB, 1 << 48, 1 << 52, (1 << 56) - (1 << 40)]) {
        let harness = Harness::new(Sim::with_mappings_at(high));
        let runs = runs(&harness);
        large(&harness, high);
        give_back(&harness, runs);
    }
}

#[test]
fn segments_of_zones_are_among_what_is_told_apart_and_aligned() {
    for high in [1 << 46, 1 << 47, 1 << 48, 1 << 55] {
        let os = Sim::with_mappings_at(high);
        let segments: Vec<usize> = (0..if cfg!(miri) { 8 } else { 50 })
            .map(|_| map_below(&os, 4 * MIB, 4 * MIB, OF_ZONE).expect("room").addr())
            .collect();
        for &at in &segments {
            assert!(at % (4 * MIB) == 0 && at + 4 * MIB < ADDRESSES, "{at:#x}");
            assert!((high < ADDRESSES) == (at >= high), "{at:#x} where {high:#x} is asked for");
        }
        assert_eq!(os.mapped_bytes(), segments.len() * 4 * MIB, "what was too high went back");
    }
}
