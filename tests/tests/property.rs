//! Any sequence of operations, against a shadow model: blocks do not overlap, are aligned, keep their
//! content, and are zero where that was asked for.

use std::alloc::{GlobalAlloc, Layout};
use std::collections::BTreeMap;

use proptest::prelude::*;

static ALLOC: brkmap::BrkMap = brkmap::BrkMap::new();

/// One step; `which` picks a live block, whatever there is by then.
#[derive(Clone, Debug)]
enum Step {
    Get {
        size: usize,
        align: usize,
        zeroed: bool,
    },
    Resize {
        which: usize,
        size: usize,
    },
    Free {
        which: usize,
    },
    /// Frees every second block, so that runs come back with holes.
    FreeHalf,
}

/// Sizes near the borders are as likely as any: classes, the largest class, the threshold, pages.
fn size() -> impl Strategy<Value = usize> {
    let border = prop::sample::select(vec![16, 1024, 4096, 32 << 10, 64 << 10, 128 << 10, 1 << 20]);
    prop_oneof![
        8 => 1_usize..2048,
        4 => 1_usize..(40 << 10),
        2 => 1_usize..(3 << 20),
        4 => (border, 0_usize..3).prop_map(|(border, above)| border + above - 1),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let align = prop_oneof![6 => 0_u32..5, 1 => 5_u32..17].prop_map(|bits| 1 << bits);
    let get = (size(), align, any::<bool>());
    let get = get.prop_map(|(size, align, zeroed)| Step::Get { size, align, zeroed });
    prop_oneof![
        10 => get,
        4 => (any::<usize>(), size()).prop_map(|(which, size)| Step::Resize { which, size }),
        6 => any::<usize>().prop_map(|which| Step::Free { which }),
        1 => Just(Step::FreeHalf),
    ]
}

/// The model: every live block by its address, its layout and the byte it is filled with.
#[derive(Default)]
struct Shadow {
    live: BTreeMap<usize, (*mut u8, Layout, u8)>,
    filled: u8,
}

impl Shadow {
    /// Takes up a block the allocator gave: it must be aligned and overlap no other.
    fn take_up(&mut self, block: *mut u8, layout: Layout) {
        assert!(!block.is_null(), "no memory for {layout:?}");
        let begin = block.addr();
        assert!(begin.is_multiple_of(layout.align()), "{block:p} for {layout:?}");
        if let Some((other, (_, below, _))) = self.live.range(..=begin).next_back() {
            assert!(other + below.size() <= begin, "{block:p} {layout:?} lies in {other:#x} {below:?}");
        }
        if let Some((other, _)) = self.live.range(begin..).next() {
            assert!(begin + layout.size() <= *other, "{block:p} {layout:?} reaches into {other:#x}");
        }
        self.filled = self.filled.wrapping_add(1) | 1;
        // SAFETY: the allocator gave `size` bytes, and they overlap no other live block.
        unsafe { block.write_bytes(self.filled, layout.size()) };
        self.live.insert(begin, (block, layout, self.filled));
    }

    fn pick(&mut self, which: usize) -> Option<(*mut u8, Layout, u8)> {
        let key = *self.live.keys().nth(which % self.live.len().max(1))?;
        self.live.remove(&key)
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Get { size, align, zeroed } => {
                let layout = Layout::from_size_align(size, align).expect("small");
                // SAFETY: the size is not zero.
                let block = unsafe { if zeroed { ALLOC.alloc_zeroed(layout) } else { ALLOC.alloc(layout) } };
                if zeroed && !block.is_null() {
                    assert_filled(block, size, 0, "zeroed");
                }
                self.take_up(block, layout);
            }
            Step::Resize { which, size } => {
                let Some((block, layout, byte)) = self.pick(which) else { return };
                assert_filled(block, layout.size(), byte, "before realloc");
                // SAFETY: live, of this layout, taken out of the model; the new size is not zero.
                let moved = unsafe { ALLOC.realloc(block, layout, size) };
                assert!(!moved.is_null(), "no memory for {size}");
                assert_filled(moved, size.min(layout.size()), byte, "after realloc");
                self.take_up(moved, Layout::from_size_align(size, layout.align()).expect("small"));
            }
            Step::Free { which } => {
                if let Some(block) = self.pick(which) {
                    free(block);
                }
            }
            Step::FreeHalf => {
                let keys: Vec<usize> = self.live.keys().copied().step_by(2).collect();
                keys.iter().filter_map(|key| self.live.remove(key)).for_each(free);
            }
        }
    }
}

fn free((block, layout, byte): (*mut u8, Layout, u8)) {
    assert_filled(block, layout.size(), byte, "before free");
    // SAFETY: live, of this layout, taken out of the model by the caller.
    unsafe { ALLOC.dealloc(block, layout) };
}

fn assert_filled(block: *const u8, len: usize, byte: u8, when: &str) {
    // SAFETY: the block is live and of at least `len` bytes, all written by the model or zeroed by the
    // allocator.
    let bytes = unsafe { std::slice::from_raw_parts(block, len) };
    let bad = bytes.iter().position(|found| *found != byte);
    assert!(bad.is_none(), "{when}: byte {bad:?} of {block:p} ({len} bytes) is not {byte:#x}");
}

proptest! {
    // Files of failed cases would be written beside the sources; the seed that is printed is enough.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_keeps_blocks_apart_aligned_and_unchanged(steps in prop::collection::vec(step(), 1..200)) {
        let mut shadow = Shadow::default();
        steps.iter().for_each(|step| shadow.run(step));
        std::mem::take(&mut shadow.live).into_values().for_each(free);
    }
}

#[test]
fn the_model_sees_an_overlap_a_bad_alignment_and_a_changed_byte() {
    let fails = |body: fn()| std::panic::catch_unwind(body).is_err();
    let layout = Layout::from_size_align(64, 16).expect("small");
    static mut SPACE: [u128; 16] = [0; 16];
    fn at(offset: usize) -> *mut u8 {
        // SAFETY: the offset stays within the array; nobody else uses it but one test, in order.
        unsafe { (&raw mut SPACE).cast::<u8>().add(offset) }
    }
    let mut shadow = Shadow::default();
    shadow.take_up(at(0), layout);
    shadow.take_up(at(64), layout);
    assert!(fails(|| {
        let layout = Layout::from_size_align(64, 16).expect("small");
        let mut shadow = Shadow::default();
        shadow.take_up(at(0), layout);
        shadow.take_up(at(48), layout);
    }));
    assert!(fails(|| Shadow::default().take_up(at(8), Layout::from_size_align(8, 16).expect("small"))));
    assert!(fails(|| {
        // SAFETY: within the array.
        unsafe { at(0).write_bytes(1, 64) };
        // SAFETY: within the array.
        unsafe { at(63).write(2) };
        assert_filled(at(0), 64, 1, "here");
    }));
}
