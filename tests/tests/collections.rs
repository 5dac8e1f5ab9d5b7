//! The trait `Allocator` as collections of other crates use it, on brkmap and on heaps of one's own.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::thread;

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use brkmap::{BrkMap, Heap, SharedHeap};
use bumpalo::Bump;
use hashbrown::HashMap;

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout")
}

fn bytes<'a>(block: NonNull<[u8]>) -> &'a mut [u8] {
    // SAFETY: a live block of the test's, which was written to, or is only about to be.
    unsafe { &mut *block.as_ptr() }
}

/// Every size becomes every other one, at alignments that change or stay.
fn changes(allocator: impl Allocator) {
    const SIZES: [usize; 9] = [0, 1, 24, 1000, 5000, 33_000, 200_000, 1 << 20, 3 << 20];
    for (old, new) in SIZES.iter().flat_map(|&old| SIZES.map(|new| (old, new))) {
        for (from, to) in [(8, 8), (1, 64), (4096, 16), (1 << 16, 1 << 16), (8, 2 << 20)] {
            let (before, after) = (layout(old, from), layout(new, to));
            let block = allocator.allocate_zeroed(before).expect("memory");
            assert!(block.len() == old && bytes(block).iter().all(|&byte| byte == 0));
            bytes(block).fill(7);
            let first = block.cast::<u8>();
            // SAFETY: the block is of this allocator and layout, and is not used again.
            let changed = unsafe {
                match new >= old {
                    true => allocator.grow_zeroed(first, before, after),
                    false => allocator.shrink(first, before, after),
                }
            };
            let changed = changed.expect("memory");
            assert!(changed.len() == new && changed.cast::<u8>().addr().get().is_multiple_of(to));
            let (kept, added) = bytes(changed).split_at(old.min(new));
            assert!(kept.iter().all(|&byte| byte == 7), "{old} → {new}");
            assert!(added.iter().all(|&byte| byte == 0), "{old} → {new}");
            // SAFETY: as above.
            unsafe { allocator.deallocate(changed.cast(), after) };
        }
    }
    assert!(allocator.allocate(layout(isize::MAX as usize / 2, 8)).is_err());
}

#[test]
fn blocks_grow_and_shrink_on_every_allocator() {
    changes(BrkMap::new());
    changes(Heap::new());
    changes(SharedHeap::default());
}

#[test]
fn a_heap_has_back_what_its_collections_had() {
    let heap = Heap::new();
    changes(&heap);
    let numbers: Vec<u64, &Heap> = {
        let mut numbers = Vec::new_in(&heap);
        numbers.extend(0..100_000);
        numbers
    };
    let text = Box::new_in([b'x'; 3000], &heap);
    assert_eq!(heap.figures().blocks, 2);
    assert!(heap.figures().bytes >= 8 * 100_000 + 3000);
    assert_eq!((numbers.iter().sum::<u64>(), text[2999]), (4_999_950_000, b'x'));
    drop((numbers, text));
    assert_eq!((heap.figures().blocks, heap.figures().bytes), (0, 0));
}

#[test]
fn maps_of_hashbrown_live_in_heaps() {
    let heap = Heap::new();
    let mut map = HashMap::new_in(&heap);
    for number in 0..50_000u64 {
        let mut text = Vec::new_in(&heap);
        text.extend_from_slice(&number.to_ne_bytes());
        map.insert(number, text);
    }
    map.retain(|number, _| number % 3 == 0);
    assert!(map.iter().all(|(number, text)| text[..] == number.to_ne_bytes()));
    assert_eq!(heap.figures().blocks, map.len() + 1, "each text, and the table");
    drop(map);
    assert_eq!(heap.figures().blocks, 0);

    let mut own: HashMap<u32, u32, _, BrkMap> = HashMap::new_in(BrkMap::new());
    own.extend((0..10_000).map(|number| (number, !number)));
    assert!(own.iter().all(|(number, value)| *value == !number));
}

#[test]
fn a_map_may_own_its_heap_and_be_moved_and_cloned_with_it() {
    let mut owner = HashMap::new_in(Heap::with_limit(16 << 20));
    owner.extend((0..1000).map(|number| (number, number)));
    let owner = thread::spawn(move || owner).join().expect("the thread");
    assert_eq!(owner.len(), 1000);

    let shared = SharedHeap::from(Heap::new());
    let mut first = HashMap::new_in(shared.clone());
    first.extend((0..1000).map(|number| (number, number)));
    let second = first.clone();
    assert_eq!(shared.figures().blocks, 2);
    drop((first, shared));
    assert_eq!(second[&999], 999);
}

#[test]
fn a_limit_reaches_who_asks_for_more() {
    let heap = Heap::with_limit(1 << 20);
    let mut numbers: Vec<u8, &Heap> = Vec::new_in(&heap);
    assert!(numbers.try_reserve_exact(2 << 20).is_err());
    assert!(numbers.try_reserve_exact(600 << 10).is_ok());
    // Counted once while it moves, or it would not fit.
    assert!(numbers.try_reserve_exact(900 << 10).is_ok());
}

#[test]
fn vectors_of_a_bump_arena_are_beside_those_of_a_heap() {
    let (bump, heap) = (Bump::new(), Heap::new());
    let mut short = Vec::new_in(&bump);
    let mut long = Vec::new_in(&heap);
    for number in 0..10_000 {
        short.push(number);
        long.push(number);
    }
    assert_eq!(short[..], long[..]);
}
