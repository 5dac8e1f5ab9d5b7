//! A heap of one's own: a limit for a part of a program, and all of its blocks gone at once.

use std::alloc::Layout;

use brkmap::Heap;

fn main() {
    let layout = Layout::new::<[u64; 8]>();
    let heap = Heap::with_limit(10 << 20);
    let mut count = 0;
    while let Some(block) = heap.alloc(layout) {
        // SAFETY: a new block of this layout.
        unsafe { block.cast::<[u64; 8]>().write([count; 8]) };
        count += 1;
    }
    let figures = heap.figures();
    println!("{count} blocks, {} KiB, {} KiB mapped", figures.bytes >> 10, figures.mapped >> 10);
    assert_eq!(figures.blocks as u64, count);
    assert!(figures.bytes <= heap.limit() && figures.bytes + 64 > heap.limit());

    // Its addresses go back with the heap: no block is freed one by one.
    drop(heap);
}
