//! What a probe does: requests of one size, each between marks.
//!
//! Between two marks of a phase the probe does one thing. It allocates nothing of its own and
//! makes no memory call: what the tracer sees there is the allocator's.

use std::ffi::c_int;
use std::hint::black_box;

use brkmap_witness::{Faults, page_size};

use crate::arguments::Arguments;
use crate::heap::{Heap, LibcHeap, RustHeap};
use crate::marker::{Marker, Phase, Step};

/// glibc begins with 132 KiB of break whatever it is asked for; a block that still fits in there is
/// not compared with its threshold.
const SET_UP: usize = 256 << 10;
/// As many of the smallest blocks use that up too, by their headers and rounding.
const MANY: usize = 1 << 14;

/// Two requests, a free of both, one more request.
pub const REQUESTS: &str = "requests";
/// A block that grows twice.
pub const GROWTH: &str = "growth";
/// Requests until the last one shows the allocator's choice.
pub const CHOICE: &str = "choice";

/// Runs the scenario on the C functions: libc's, or those of a library that was preloaded.
pub fn of_libc(arguments: Arguments, first: usize) -> c_int {
    run(&LibcHeap, arguments, first)
}

/// Runs the scenario on the global allocator of the program that this is linked into.
pub fn of_rust(arguments: Arguments, first: usize) -> c_int {
    run(&RustHeap, arguments, first)
}

/// Runs the scenario that the arguments from `first` on name: `SCENARIO SIZE`. The answer is the
/// process's exit code.
fn run(heap: &impl Heap, arguments: Arguments, first: usize) -> c_int {
    let scenario = arguments.get(first).map(|text| text.to_bytes());
    let size = arguments.get(first + 1).and_then(|text| text.to_str().ok()?.parse::<usize>().ok());
    let (Some(scenario), Some(size @ 1..)) = (scenario, size) else { return 2 };
    let probe = Probe { heap, page: page_size() };
    // Once through the machinery, so that its own first page faults are behind it.
    Faults::now();
    mark(Phase::Hello, Step::Begin, heap.code());
    if scenario == REQUESTS.as_bytes() {
        probe.requests(size);
    } else if scenario == GROWTH.as_bytes() {
        probe.growth(size);
    } else if scenario == CHOICE.as_bytes() {
        probe.choice(size);
    } else {
        return 2;
    }
    0
}

struct Probe<'a, H> {
    heap: &'a H,
    page: usize,
}

impl<H: Heap> Probe<'_, H> {
    fn requests(&self, size: usize) {
        let first = self.ask_and_touch(Phase::First, size, || self.heap.allocate(size));
        let second = self.ask_and_touch(Phase::Second, size, || self.heap.allocate(size));
        mark(Phase::FreeBoth, Step::Begin, 0);
        for block in [first, second] {
            if !block.is_null() {
                // SAFETY: live, of `size` bytes, from this heap, and not used again.
                unsafe { self.heap.release(block, size) };
            }
        }
        mark(Phase::FreeBoth, Step::Done, 0);
        self.ask_and_touch(Phase::Again, size, || self.heap.allocate(size));
    }

    fn growth(&self, size: usize) {
        let mut block = self.ask_and_touch(Phase::Base, size, || self.heap.allocate(size));
        let mut old = size;
        for (phase, times) in [(Phase::Double, 2), (Phase::Quadruple, 4)] {
            let Some(new) = size.checked_mul(times) else { return };
            if block.is_null() {
                return;
            }
            // SAFETY: `block` is live and of `old` bytes: made just before, by this heap, and the
            // loop ends when it could not be made.
            block = self.ask_and_touch(phase, new, || unsafe { self.heap.resize(block, old, new) });
            old = new;
        }
    }

    /// Asks until what an allocator set up for itself is surely used up, and marks the last request.
    fn choice(&self, size: usize) {
        for _ in 1..(SET_UP / size).clamp(2, MANY) {
            black_box(self.heap.allocate(size));
        }
        self.ask(Phase::Second, || self.heap.allocate(size));
    }

    fn ask(&self, phase: Phase, request: impl FnOnce() -> *mut u8) -> *mut u8 {
        mark(phase, Step::Begin, 0);
        // The optimiser knows malloc and may drop a block that nobody looks at.
        let block = black_box(request());
        mark(phase, Step::Done, block as usize);
        block
    }

    fn ask_and_touch(&self, phase: Phase, size: usize, request: impl FnOnce() -> *mut u8) -> *mut u8 {
        let block = self.ask(phase, request);
        if !block.is_null() {
            for offset in (0..size).step_by(self.page) {
                // SAFETY: `offset < size`, inside the block that was just handed out.
                unsafe { block.add(offset).write_volatile(1) };
            }
            // SAFETY: the block has at least one byte; its last page may begin past the last step.
            unsafe { block.add(size - 1).write_volatile(1) };
            mark(phase, Step::Touched, block as usize);
        }
        block
    }
}

fn mark(phase: Phase, step: Step, pointer: usize) {
    // Nothing here is read from a disk, so there are no other faults.
    Marker { phase, step, faults: Faults::now().minor, pointer: pointer as u64 }.send();
}
