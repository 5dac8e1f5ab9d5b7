//! Blocks whose whole content is known: filled when they are got, checked before they go.
//!
//! The pattern of a block follows from its address and its owner's number, so a block given out twice, one
//! that overlaps another, and one that was written to by the allocator all show as a wrong byte.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::Mutex;

use crate::random::Random;

/// A block and what is known of it.
pub struct Block {
    start: *mut u8,
    layout: Layout,
    owner: u64,
}

// SAFETY: a block is owned, as a Box is; that it may be freed by another thread is what is tested.
unsafe impl Send for Block {}

impl Block {
    /// A filled block. None: the allocator had no memory.
    pub fn new<A: GlobalAlloc>(alloc: &A, layout: Layout, owner: u64, zeroed: bool) -> Option<Self> {
        // SAFETY: the layout is not empty, see `layout_of`.
        let start = unsafe { if zeroed { alloc.alloc_zeroed(layout) } else { alloc.alloc(layout) } };
        // What becomes of the block is not the compiler's to know: it could drop the request.
        let start = std::hint::black_box(start);
        if start.is_null() {
            return None;
        }
        assert!(start.addr().is_multiple_of(layout.align()), "{start:p} is not aligned as {layout:?} asks");
        let mut block = Self { start, layout, owner };
        if zeroed {
            assert!(block.bytes().iter().all(|byte| *byte == 0), "alloc_zeroed gave bytes that are not zero");
        }
        block.fill();
        Some(block)
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: `start` is a live block of this layout, owned by `self`; whoever made it initialised it
        // or is about to write only (bytes have no invalid values, and the allocator's memory is never
        // unwritten pages the compiler knows of).
        unsafe { std::slice::from_raw_parts_mut(self.start, self.layout.size()) }
    }

    fn word(&self) -> u64 {
        (self.start.addr() as u64 ^ (self.owner << 48)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn fill(&mut self) {
        let word = self.word().to_ne_bytes();
        let mut chunks = self.bytes().chunks_exact_mut(8);
        for chunk in &mut chunks {
            chunk.copy_from_slice(&word);
        }
        let rest = chunks.into_remainder();
        let len = rest.len();
        rest.copy_from_slice(&word[..len]);
    }

    /// Panics if any of the first `len` bytes is not what was written.
    fn check(&mut self, len: usize, word: u64, when: &str) {
        let word = word.to_ne_bytes();
        let (layout, start) = (self.layout, self.start);
        let bytes = &self.bytes()[..len];
        let bad = bytes.iter().enumerate().position(|(at, byte)| *byte != word[at % 8]);
        if let Some(at) = bad {
            panic!("{when}: byte {at} of {start:p} {layout:?} was written to by another");
        }
    }

    /// Checks the content, grows or shrinks, and checks that what both sizes hold has come along.
    pub fn resize<A: GlobalAlloc>(&mut self, alloc: &A, size: usize) -> bool {
        let (word, kept) = (self.word(), self.layout.size().min(size));
        self.check(self.layout.size(), word, "before realloc");
        // SAFETY: the block is live and of this layout; the new size is not zero and far below the limit.
        let moved = unsafe { alloc.realloc(self.start, self.layout, size) };
        if moved.is_null() {
            self.check(self.layout.size(), word, "after a refused realloc");
            return false;
        }
        self.start = moved;
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("sizes here are small");
        assert!(moved.addr().is_multiple_of(self.layout.align()), "realloc lost the alignment");
        self.check(kept, word, "after realloc");
        self.fill();
        true
    }

    /// Checks the content and gives the block back.
    pub fn free<A: GlobalAlloc>(mut self, alloc: &A) {
        self.check(self.layout.size(), self.word(), "before free");
        // SAFETY: live, of this layout, and `self` is consumed.
        unsafe { alloc.dealloc(self.start, self.layout) };
    }
}

/// A layout of every kind: mostly small, some across the mapping threshold, now and then strictly aligned.
pub fn layout_of(random: &mut Random) -> Layout {
    let size = match random.below(100) {
        0 => random.size(1 << 20),
        1..=4 => random.size(256 << 10),
        5..=19 => random.size(32 << 10),
        _ => random.size(1024),
    };
    let align = if random.below(8) == 0 { 16 << random.below(9) } else { 1 << random.below(5) };
    Layout::from_size_align(size, align).expect("sizes here are small")
}

/// How many blocks a thread of the storm keeps, and how many wait between threads.
const OWN: usize = 200;
const SHARED: usize = 400;

/// `threads` threads allocate, resize, hand over and free blocks at random, `steps` each.
pub fn storm<A: GlobalAlloc + Sync>(alloc: &A, threads: usize, steps: usize, seed: u64) {
    let shared = Mutex::new(Vec::with_capacity(SHARED));
    if threads == 1 {
        // Here and now: under a limit there may be no room for a thread.
        one_of_storm(alloc, &shared, 0, steps, seed);
    }
    std::thread::scope(|scope| {
        for owner in (0..threads as u64).filter(|_| threads > 1) {
            let shared = &shared;
            scope.spawn(move || one_of_storm(alloc, shared, owner, steps, seed));
        }
    });
    for block in shared.into_inner().expect("a thread panicked") {
        Block::free(block, alloc);
    }
}

fn one_of_storm<A: GlobalAlloc>(alloc: &A, shared: &Mutex<Vec<Block>>, owner: u64, steps: usize, seed: u64) {
    let mut random = Random::new(seed * 1009 + owner);
    let mut own: Vec<Block> = Vec::with_capacity(OWN);
    let new = |random: &mut Random| {
        let zeroed = random.below(8) == 0;
        Block::new(alloc, layout_of(random), owner, zeroed).expect("memory")
    };
    for _ in 0..steps {
        let some = random.below(own.len().max(1));
        match random.below(10) {
            // Frees by others: give one away and take another's, in one visit to the lock.
            0..=2 if !own.is_empty() => {
                let given = own.swap_remove(some);
                let taken = {
                    let mut shared = shared.lock().expect("a thread panicked");
                    shared.push(given);
                    let some = random.below(shared.len());
                    (shared.len() > SHARED / 2).then(|| shared.swap_remove(some))
                };
                if let Some(block) = taken {
                    block.free(alloc);
                }
            }
            3 if !own.is_empty() => {
                let size = layout_of(&mut random).size();
                assert!(own[some].resize(alloc, size), "memory");
            }
            4..=5 if !own.is_empty() => own.swap_remove(some).free(alloc),
            _ if own.len() < OWN => own.push(new(&mut random)),
            // A burst of frees, so that whole runs come back while the others go on.
            _ => own.drain(OWN / 4..).for_each(|block| block.free(alloc)),
        }
    }
    own.into_iter().for_each(|block| block.free(alloc));
}
