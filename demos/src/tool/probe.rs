//! What runs inside a probe process: requests to one allocator, with markers around each.
//!
//! Between two markers of a phase the probe does one thing. It allocates nothing of its own and
//! makes no memory call: what the tracer sees there is the allocator's.

use std::alloc::Layout;
use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::mem::MaybeUninit;

use super::arguments::Arguments;
use super::marker::{Marker, Phase, Step};

/// The allocator under the probe. Null means that it refused.
pub trait Heap {
    fn allocate(&self, size: usize) -> *mut u8;
    /// # Safety
    /// `block` is a live block of `old` bytes from this heap; it is dead when the answer is not null.
    unsafe fn resize(&self, block: *mut u8, old: usize, new: usize) -> *mut u8;
    /// # Safety
    /// `block` is a live block of `size` bytes from this heap, and dead afterwards.
    unsafe fn release(&self, block: *mut u8, size: usize);
    /// An address inside the allocator's code, to show whose it is; 0 when that is no question.
    fn code(&self) -> usize;
}

/// The C functions: libc's, or those of a library that was preloaded.
pub struct LibcHeap;

impl Heap for LibcHeap {
    fn allocate(&self, size: usize) -> *mut u8 {
        // SAFETY: malloc takes any size.
        unsafe { libc::malloc(size) }.cast()
    }

    unsafe fn resize(&self, block: *mut u8, _: usize, new: usize) -> *mut u8 {
        // SAFETY: `block` is live and from `allocate`, by this function's contract.
        unsafe { libc::realloc(block.cast(), new) }.cast()
    }

    unsafe fn release(&self, block: *mut u8, _: usize) {
        // SAFETY: `block` is live and from `allocate`, by this function's contract.
        unsafe { libc::free(block.cast()) }
    }

    fn code(&self) -> usize {
        libc::malloc as unsafe extern "C" fn(usize) -> *mut c_void as usize
    }
}

/// The global allocator of the program that this is linked into, by the road of `Box` and `Vec`.
pub struct RustHeap;

/// What a `Vec` of pointers or numbers asks for.
const ALIGN: usize = 8;

impl Heap for RustHeap {
    fn allocate(&self, size: usize) -> *mut u8 {
        match Layout::from_size_align(size, ALIGN) {
            // SAFETY: the size is not 0: `run` refuses that.
            Ok(layout) => unsafe { std::alloc::alloc(layout) },
            Err(_) => std::ptr::null_mut(),
        }
    }

    unsafe fn resize(&self, block: *mut u8, old: usize, new: usize) -> *mut u8 {
        match (Layout::from_size_align(old, ALIGN), Layout::from_size_align(new, ALIGN)) {
            // SAFETY: `block` is live with the old layout, by this function's contract; the new
            // size makes a layout and is not 0.
            (Ok(layout), Ok(_)) => unsafe { std::alloc::realloc(block, layout, new) },
            _ => std::ptr::null_mut(),
        }
    }

    unsafe fn release(&self, block: *mut u8, size: usize) {
        if let Ok(layout) = Layout::from_size_align(size, ALIGN) {
            // SAFETY: `block` is live with this layout, by this function's contract.
            unsafe { std::alloc::dealloc(block, layout) }
        }
    }

    fn code(&self) -> usize {
        0
    }
}

/// glibc begins with 132 KiB of break whatever it is asked for; a block that still fits in there is
/// not compared with its threshold.
const SET_UP: usize = 256 << 10;
/// As many of the smallest blocks use that up too, by their headers and rounding.
const MANY: usize = 1 << 14;

/// What a probe can be asked to do.
pub mod scenario {
    pub const REQUESTS: &str = "requests";
    pub const GROWTH: &str = "growth";
    pub const CHOICE: &str = "choice";
}

/// Runs the scenario that the arguments from `first` on name: `SCENARIO SIZE`. The answer is the
/// process's exit code.
pub fn run(heap: &impl Heap, arguments: Arguments, first: usize) -> c_int {
    let scenario = arguments.get(first).map(|text| text.to_bytes());
    let size = arguments.get(first + 1).and_then(|text| text.to_str().ok()?.parse::<usize>().ok());
    let (Some(scenario), Some(size @ 1..)) = (scenario, size) else { return 2 };
    let probe = Probe { heap, page: page_size() };
    // Once through the machinery, so that its own first page faults are behind it.
    faults();
    mark(Phase::Hello, Step::Begin, heap.code());
    if scenario == scenario::REQUESTS.as_bytes() {
        probe.requests(size);
    } else if scenario == scenario::GROWTH.as_bytes() {
        probe.growth(size);
    } else if scenario == scenario::CHOICE.as_bytes() {
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
    Marker { phase, step, faults: faults(), pointer: pointer as u64 }.send();
}

/// Minor faults so far. Nothing here is read from a disk, so there are no others.
fn faults() -> u64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills the structure it is given.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    // SAFETY: zeroed, and a structure of plain numbers: initialised whether or not it was filled.
    unsafe { usage.assume_init() }.ru_minflt as u64
}

fn page_size() -> usize {
    // SAFETY: sysconf takes a number.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}
