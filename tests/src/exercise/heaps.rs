//! Heaps of one's own beside the allocator of the program.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use brkmap::Heap;

use super::fork::fork_and;
use super::{KIB, MIB, get, layout, put, touch};
use crate::measure;
use crate::random::Random;

/// What a thread has of a heap, checked at its end.
struct Held {
    block: NonNull<u8>,
    layout: Layout,
    word: u64,
}

impl Held {
    fn new(heap: &Heap, random: &mut Random) -> Held {
        let size = match random.below(40) {
            0 => 8 + random.below(3 * MIB),
            1..=4 => 8 + random.below(200 * KIB),
            _ => 8 + random.below(2 * KIB),
        };
        let layout = Layout::from_size_align(size, 8 << random.below(10)).expect("a layout");
        let block = heap.alloc(layout).expect("memory");
        let word = block.addr().get() as u64 ^ 0x5a5a;
        // SAFETY: at least eight bytes, aligned to as many.
        unsafe { block.cast::<u64>().write(word) };
        Held { block, layout, word }
    }

    fn check(&self) {
        // SAFETY: written by `new`, and live.
        assert_eq!(unsafe { self.block.cast::<u64>().read() }, self.word, "a block lost its content");
    }
}

/// One heap's life: much comes, some goes, and the rest with the heap.
fn live(seed: u64) {
    let mut random = Random::new(seed);
    let heap = Heap::new();
    let mut held: Vec<Held> = Vec::new();
    for _ in 0..200 + random.below(400) {
        if random.below(3) == 0 && !held.is_empty() {
            let one = held.swap_remove(random.below(held.len()));
            one.check();
            // SAFETY: of this heap and this layout.
            unsafe { heap.dealloc(one.block, one.layout) };
        } else {
            held.push(Held::new(&heap, &mut random));
        }
    }
    held.iter().for_each(Held::check);
    assert_eq!(heap.figures().blocks, held.len());
}

/// Threads make and drop heaps, while another forks; every child does so too.
pub fn come_and_go() {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 0..3 {
            let stop = &stop;
            scope.spawn(move || {
                let mut turn = seed;
                while !stop.load(Ordering::Relaxed) {
                    live(turn);
                    turn += 3;
                }
            });
        }
        for turn in 0..200 {
            fork_and(turn, || (0..3).for_each(|seed| live(seed + turn as u64)));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// A million blocks go with their heap, and their memory with them.
pub fn million() {
    const COUNT: usize = 1_000_000;
    let layout = layout(64);
    let before = measure::resident();
    let heap = Heap::new();
    for _ in 0..COUNT {
        let block = heap.alloc(layout).expect("memory");
        // SAFETY: the heap's block of 64 bytes.
        unsafe { touch(block.as_ptr(), 64) };
    }
    let figures = heap.figures();
    assert_eq!((figures.blocks, figures.bytes), (COUNT, COUNT * 64));
    assert!(figures.mapped < COUNT * 70, "{} bytes are mapped", figures.mapped);
    let with = measure::resident();
    assert!(with > before + 60 * MIB, "{with} bytes are resident, {before} before");
    drop(heap);
    let after = measure::resident();
    assert!(after < before + MIB, "{after} bytes are resident, {before} before");
}

/// Heaps are small, and there may be many.
pub fn many() {
    const COUNT: usize = 1000;
    let before = measure::resident();
    let heaps: Vec<Heap> = (0..COUNT).map(|_| Heap::new()).collect();
    for heap in &heaps {
        let block = heap.alloc(layout(100)).expect("memory");
        // SAFETY: the heap's block of 100 bytes.
        unsafe { touch(block.as_ptr(), 100) };
    }
    let each = (measure::resident() - before) / COUNT;
    assert!(each <= 16 * KIB, "{each} bytes a heap");
    drop(heaps);
}

/// Gives a block back where it is not from: each of these has to end the program, at the latest when the block
/// leaves a magazine.
pub fn wrong<A: GlobalAlloc + Sync>(alloc: &'static A, kind: &str) {
    let (heap, other) = (Heap::new(), Heap::new());
    let block = heap.alloc(layout(64)).expect("memory");
    let large = heap.alloc(layout(2 * MIB)).expect("memory");
    let nobodys = NonNull::new(get(alloc, 64)).expect("memory");
    // SAFETY: none: that is what is tested.
    unsafe {
        match kind {
            "another-heaps" => other.dealloc(block, layout(64)),
            "another-heaps-large" => other.dealloc(large, layout(2 * MIB)),
            "nobodys" => heap.dealloc(nobodys, layout(64)),
            "layout" => heap.dealloc(block, layout(640)),
            "twice" => {
                heap.dealloc(block, layout(64));
                heap.dealloc(block, layout(64));
            }
            "to-global" => put(alloc, block.as_ptr(), 64),
            "to-global-large" => put(alloc, large.as_ptr(), 2 * MIB),
            _ => panic!("no kind {kind}"),
        }
    }
    // More than magazines have.
    let blocks: Vec<_> = (0..20_000).map(|_| get(alloc, 64)).collect();
    for block in black_box(blocks) {
        // SAFETY: got above.
        unsafe { put(alloc, block, 64) };
    }
}
