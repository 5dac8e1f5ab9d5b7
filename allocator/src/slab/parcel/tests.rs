//! Parcels over memory of an arena: what was packed is unpacked, and what was written to is told.

use super::*;
use crate::arena::Arena;
use crate::arena::page_map::Entry;
use crate::base::units::{Granules, HeapId};
use crate::os::sim::Sim;
use crate::slab::capacity;
use crate::slab::noted::Noted;
use proptest::prelude::*;

const HEAP: HeapId = HeapId(3);

/// Has `f` use a place where the heap has slabs of a class with so many blocks together, and those blocks.
fn with_blocks<R>(class: SizeClass, count: usize, f: impl FnOnce(&Site<Sim>, &[Slot]) -> R) -> R {
    let (arena, noted) = (Arena::new(Sim::new()), Noted::nothing());
    let mut blocks = Vec::new();
    while blocks.len() < count {
        let run = arena.alloc_run(Granules(1), Granules(1), Entry::slab(HEAP, class)).expect("memory");
        let start = arena.started().start(run.head);
        let of_slab =
            (0..capacity(class) as usize).map(|at| start.wrapping_add(at * size_class::bytes(class)));
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
        cases: if cfg!(miri) { 4 } else { 24 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// What was packed is unpacked, in its order.
    #[test]
    fn a_parcel_brings_every_block(
        class in 1u8..80, count in 1usize..70, at_once in 1usize..70, behind in 0u64..1 << 40,
    ) {
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

/// Packs and labels blocks, and gives the head.
fn sent(site: &Site<Sim>, class: SizeClass, blocks: &[Slot]) -> *mut u8 {
    // SAFETY: the blocks are this test's memory.
    unsafe {
        let packed = Closed::pack(site, class, blocks);
        packed.label(site, 12345);
        packed.head
    }
}

/// What comes of a parcel: nothing where its label is not what it was.
fn received(site: &Site<Sim>, head: *mut u8) -> (Vec<usize>, Option<*mut u8>) {
    // SAFETY: packed by `sent`, if it is one still.
    match unsafe { Closed::labelled(site, head) } {
        // SAFETY: as above.
        Some((parcel, _)) => unpacked(unsafe { parcel.open(site) }, 64),
        None => (Vec::new(), Some(head)),
    }
}

/// What programs do to a word of a block that they have freed.
const WRITES: [fn(u32) -> u32; 6] = [
    |_| 0,
    |word| word.wrapping_sub(1),
    |word| word.wrapping_add(1),
    |word| word ^ 1 << 31,
    |_| 0x4141_4141,
    |word| !word,
];

#[test]
fn a_write_to_a_free_block_brings_no_other_block() {
    let classes: &[u8] = if cfg!(miri) { &[1, 3] } else { &[1, 2, 3, 5, 40, 70] };
    let mut seen = 0;
    for &class in classes {
        let (class, count) = (SizeClass(class), if cfg!(miri) { 5 } else { 40 });
        with_blocks(class, count, |site, blocks| {
            let all = addresses(blocks);
            for (block, word) in (0..count).flat_map(|block| (0..32).map(move |word| (block, word * 4))) {
                if word >= size_class::bytes(class) {
                    continue;
                }
                for write in WRITES {
                    let head = sent(site, class, blocks);
                    let place: *mut u32 = blocks[block].get().wrapping_add(word).cast();
                    // SAFETY: a word of a block of this test's.
                    unsafe { place.write(write(place.read())) };
                    let (got, torn) = received(site, head);
                    assert!(
                        all.starts_with(&got),
                        "{class:?}, block {block}, byte {word}: {got:x?} of {all:x?}"
                    );
                    assert_eq!(got.len() == count, torn.is_none(), "{class:?}, block {block}, byte {word}");
                    seen += torn.is_some() as usize;
                }
            }
        });
    }
    assert!(seen > 100, "only {seen} writes changed a parcel: the test shows nothing");
}

#[test]
fn a_pointer_in_the_place_of_a_label_is_not_followed() {
    with_blocks(SizeClass(4), 30, |site, blocks| {
        for wrong in [0, 1, 16, usize::MAX, blocks[3].get().addr(), core::ptr::from_ref(&HEAP).addr()] {
            let head = sent(site, SizeClass(4), blocks);
            // SAFETY: a block of this test's.
            unsafe { head.cast::<usize>().write(wrong) };
            // One word in some dozens has a count by chance: then what comes is still of this parcel.
            let (got, torn) = received(site, head);
            assert!(addresses(blocks).starts_with(&got), "{got:x?}");
            assert!(torn.is_some() || got.len() < blocks.len(), "a parcel with no label is whole");
        }
        for nowhere in [0, 8, 1 << 40, usize::MAX - 15, blocks[3].get().addr() + 16] {
            // SAFETY: no block begins there, so nothing is read.
            assert!(unsafe { Closed::labelled(site, core::ptr::without_provenance_mut(nowhere)) }.is_none());
        }
    });
}

/// Not under Miri, where no mapping can be asked for at an address.
#[cfg(not(miri))]
#[test]
fn blocks_that_lie_far_apart_are_parcels_of_their_own() {
    const LEN: usize = 1 << 20;
    let map = |hint: usize| {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping; the hint is only one.
        let at = unsafe { libc::mmap(core::ptr::without_provenance_mut(hint), LEN, access, flags, -1, 0) };
        assert_ne!(at, libc::MAP_FAILED);
        at.cast::<u8>()
    };
    // Farther than 32 bits of distances reach, in both directions.
    let near = map(0x2000_0000_0000);
    let far = [map(near.addr() + (100 << 30)), map(near.addr() - (100 << 30))];
    assert!(far.iter().all(|far| far.addr().abs_diff(near.addr()) > 1 << 35), "the hints were not taken");
    for (class, size) in [(SizeClass(1), 16), (SizeClass(8), 128)] {
        let regions = [near, far[0], near.wrapping_add(LEN / 2), far[1]];
        let addresses: Vec<_> =
            regions.iter().flat_map(|at| (0..9).map(|nth| at.wrapping_add(nth * size))).collect();
        let blocks: Vec<_> = addresses.iter().map(|&at| Slot::new(at)).collect();
        let (mut rest, mut got, mut parcels) = (&blocks[..], Vec::new(), 0);
        while !rest.is_empty() {
            let places: Vec<_> = rest.iter().map(|_| Slot::empty()).collect();
            // SAFETY: the blocks are this test's memory.
            let (count, (brought, torn)) = unsafe {
                if size == 16 {
                    let (head, count) = chain::pack(7, rest);
                    (count, Chain::known(7, head, count).unpack(&places))
                } else {
                    let (head, count) = bundle::pack(7, class, rest);
                    (count, Bundles::open(7, class, head, count).expect("whole").unpack(&places))
                }
            };
            assert_eq!((brought, torn), (count, None));
            got.extend(places[..count].iter().map(Slot::get));
            rest = &rest[count..];
            parcels += 1;
        }
        assert_eq!((got, parcels >= 4), (addresses, true), "{parcels} parcels");
    }
    for at in [near, far[0], far[1]] {
        // SAFETY: mapped above, and not used any more.
        unsafe { libc::munmap(at.cast(), LEN) };
    }
}
