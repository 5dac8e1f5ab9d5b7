//! The same with the standard library's own collections, on nightly:
//! `cargo +nightly run --features allocator-api --example nightly`
#![feature(allocator_api)]

use std::collections::VecDeque;
use std::sync::Arc;

use brkmap::Heap;

fn main() {
    let heap = Arc::new(Heap::with_limit(64 << 20));
    let mut numbers = Vec::new_in(&*heap);
    numbers.extend(0..100_000u64);
    let text = Box::new_in([b'x'; 5000], heap.clone());
    let mut queue = VecDeque::new_in(&*heap);
    queue.extend((0..1000).map(|number| number * number));
    println!("{:?}", heap.figures());
    assert_eq!((text[4999], numbers[99_999], queue[999]), (b'x', 99_999, 998_001));
    assert_eq!(heap.figures().blocks, 3);
    drop((numbers, text, queue));
    assert_eq!(heap.figures().blocks, 0);
}
