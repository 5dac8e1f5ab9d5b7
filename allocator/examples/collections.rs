//! Collections in a heap of one's own, by the trait `Allocator` of allocator-api2 (as hashbrown uses it):
//! `cargo run --features allocator-api2 --example collections`

use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use brkmap::{BrkMap, Heap};

fn main() {
    let heap = Heap::new();
    let mut numbers = Vec::new_in(&heap);
    numbers.extend(0..100_000u64);
    let text = Box::new_in([b'x'; 5000], &heap);
    println!("{:?}", heap.figures());
    assert_eq!((heap.figures().blocks, text[4999], numbers[99_999]), (2, b'x', 99_999));
    drop((numbers, text));
    assert_eq!(heap.figures().blocks, 0);

    // The allocator of the process, whatever the program's global one is.
    let beside: Box<[u8; 100], BrkMap> = Box::new_in([7; 100], BrkMap::new());
    assert_eq!(beside[99], 7);
}
