//! Parcels over memory of an arena: what was packed is unpacked, and what was written to is told.

use super::*;
use crate::arena::Arena;
use crate::arena::page_map::Entry;
use crate::os::sim::Sim;
use crate::slab::capacity;
use crate::slab::noted::Noted;
use crate::units::{Granules, HeapId};
use proptest::prelude::*;

const HEAP: HeapId = HeapId(3);

/// Has `f` use a place where the heap has slabs of a class with so many blocks together, and those blocks.
fn with_blocks<R>(class: SizeClass, count: usize, f: impl FnOnce(&Site<Sim>, &[Slot]) -> R) -> R {
    let (arena, noted) = (Arena::new(Sim::new()), Noted::nothing());
    let mut blocks = Vec::new();
    while blocks.len() < count {
        let run = arena.alloc_run(Granules(1), Granules(1), Entry::slab(HEAP, class)).expect("memory");
        let start = arena.started().start(run.head);
        let of_slab = (0..capacity(class) as usize).map(|at| start.wrapping_add(at * size_class::bytes(class)));
        blocks.extend(of_slab.take(count - blocks.len()).map(Slot::new));
    }
    let (geometry, window) = (arena.started(), arena.window());
    f(&Site { arena: &arena, geometry, window, heap: HEAP, noted: &noted }, &blocks)
}

fn addresses(blocks: &[Slot]) -> Vec<usize> {
    blocks.iter().map(|block| block.get().addr()).collect()
}

/// Unpacks a parcel a few blocks at a time: they, and the block that was written to.
fn unpacked(mut parcel: Parcel, at_once: usize) -> (Vec<usize>, Option<*mut u8>) {
    let places: Vec<_> = (0..at_once).map(|_| Slot::empty()).collect();
    let mut got = Vec::new();
    loop {
        match parcel.unpack(&places) {
            0 => return (got, parcel.torn()),
            count => got.extend(addresses(&places[..count])),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 8 } else { 200 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// What was packed is unpacked, in its order.
    #[test]
    fn a_parcel_brings_every_block(class in 1u8..80, count in 1usize..70, at_once in 1usize..70, behind in 0u64..1 << 40) {
        with_blocks(SizeClass(class), count, |site, blocks| {
            // SAFETY: the blocks are this test's memory.
            let (parcel, link) = unsafe {
                let packed = Closed::pack(site, SizeClass(class), blocks);
                assert_eq!(packed.count, count);
                packed.label(site, behind);
                Closed::labelled(site, packed.head).expect("labelled")
            };
            assert_eq!((parcel.class, parcel.count, link), (SizeClass(class), count, behind));
            // SAFETY: packed above.
            assert_eq!(unpacked(unsafe { parcel.open(site) }, at_once), (addresses(blocks), None));
        });
    }
}
