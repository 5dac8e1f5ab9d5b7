//! The Rust front: `#[global_allocator] static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();`
//!
//! Everything up to the empty magazine is inlined into the program; with a constant Layout the class is
//! folded, and what is left of alloc is three loads, a test and a store, of dealloc three loads, a test and
//! two stores.
#![allow(unsafe_code)]

use crate::allocator::{Resized, zeroed};
use crate::base::allocated::Allocated;
use crate::base::builder::Config;
use crate::base::config::OVERRIDE;
use crate::base::fatal;
use crate::base::size_class;
use crate::heap::{EMPTY, Heap};
use crate::os::errno::set_errno;
use crate::os::thread::ThreadWord;
use crate::process::{self, Move, OrElse, Rules, configuration};
use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::ffi::c_void;
use core::ptr::null_mut;

/// brkmap as the allocator of a Rust program.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();
///
/// fn main() {
///     let numbers: Vec<u64> = (0..1000).collect();
///     assert_eq!(numbers.iter().sum::<u64>(), 499_500);
/// }
/// ```
///
/// Requests of up to 32 KiB come from the size classes of a thread's heap, below the mmap threshold (128
/// KiB) from chunks in the same brk-style arena; from the threshold on each is one anonymous mapping.
///
/// `BrkMap<Config>` is one that code has set ([`BrkMap::with`]).
///
/// # An allocator for collections
///
/// With the feature `allocator-api2` it is an `Allocator` of that crate, and of nightly's standard library
/// with `allocator-api`: whatever the global allocator is, a collection has its memory from brkmap, or from a
/// [Heap](crate::Heap).
///
/// ```
/// # #[cfg(all(feature = "allocator-api2", not(feature = "allocator-api")))] {
/// # extern crate allocator_api2;
/// use allocator_api2::alloc::Allocator;
/// use brkmap::{BrkMap, Heap};
/// use std::alloc::Layout;
///
/// let heap = Heap::new();
/// let blocks = [BrkMap::new().allocate(Layout::new::<u64>()), (&heap).allocate(Layout::new::<u64>())];
/// assert!(blocks.iter().all(Result::is_ok) && heap.figures().blocks == 1);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct BrkMap<C = ()> {
    config: C,
}

impl BrkMap {
    /// The allocator of the process; all are the same.
    ///
    /// ```
    /// #[global_allocator]
    /// static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();
    /// # fn main() {}
    /// ```
    pub const fn new() -> Self {
        BrkMap { config: () }
    }
}

impl BrkMap<Config> {
    /// The allocator of the process, set by code. What is said is in force before the first block that Rust
    /// code asks for; the feature `override` may have served C before.
    ///
    /// All are the same, so the first that is asked for a block sets the process's allocator. One that says
    /// something else is told so on standard error, once, and serves as the first one has it.
    ///
    /// ```
    /// use brkmap::{BrkMap, Config};
    ///
    /// #[global_allocator]
    /// static GLOBAL: BrkMap<Config> = BrkMap::with(Config::new().mmap_threshold(256 << 10));
    ///
    /// fn main() {
    ///     let first = std::hint::black_box(Box::new(1));
    ///     assert_eq!(brkmap::Stats::read().mmap_threshold, 256 << 10);
    /// }
    /// ```
    pub const fn with(config: Config) -> Self {
        BrkMap { config }
    }
}

/// What a `BrkMap` is made with: nothing, or a `Config`.
pub trait Configured: Sealed {
    /// Before a block that the thread has not at hand: has it take effect, if it has not.
    #[doc(hidden)]
    fn before(&self);
}

pub trait Sealed {}
impl Sealed for () {}
impl Sealed for Config {}

impl Configured for () {
    #[inline(always)]
    fn before(&self) {}
}

impl Configured for Config {
    #[inline(always)]
    fn before(&self) {
        if !configuration::is_code(self) {
            configuration::take_code(self);
        }
    }
}

impl<C> BrkMap<C> {
    /// Gives back all memory that is not in use: what the calling thread caches, what is free in the
    /// heaps of all threads, and the free top of the break. How many bytes of pages went: see
    /// [`trim`](crate::trim).
    ///
    /// ```
    /// #[global_allocator]
    /// static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();
    ///
    /// fn main() {
    ///     drop(vec![7u8; 4 << 20]);
    ///     GLOBAL.trim();
    ///     assert_eq!(brkmap::Stats::read().cached_bytes, 0);
    /// }
    /// ```
    pub fn trim(&self) -> usize {
        trim()
    }
}

/// Gives back all memory that is not in use, as C's `malloc_trim` does: what the calling thread has at hand,
/// what is free in the heaps of all threads, also inside of half-empty slabs, cached mappings, and the free
/// ends of the arena. Other threads keep what they have at hand.
///
/// How many bytes of pages went: an upper bound, since the kernel may not have filled all of them.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();
///
/// fn main() {
///     drop(vec![1u8; 4 << 20]);
///     assert!(brkmap::trim() >= 4 << 20);
/// }
/// ```
pub fn trim() -> usize {
    process::trim::<StdWord>().0
}

/// A thread-local of the program or library that the crate is linked into: const and without a
/// destructor, so that reading it is one instruction in an executable and never allocates.
pub struct StdWord;

std::thread_local! {
    static WORD: Cell<*const Heap> = const { Cell::new(&raw const EMPTY) };
    static FREES: Cell<u32> = const { Cell::new(0) };
}

impl ThreadWord for StdWord {
    const SERVES_C: bool = OVERRIDE;

    #[inline(always)]
    fn get() -> *mut c_void {
        WORD.with(|word| word.get().cast_mut().cast())
    }

    #[inline(always)]
    fn set(word: *mut c_void) {
        WORD.with(|cell| cell.set(word.cast()));
    }

    fn count_free() -> u32 {
        FREES.with(|frees| {
            frees.set(frees.get().wrapping_add(1));
            frees.get()
        })
    }
}

/// Null where there is none, with errno ENOMEM as std's System allocator leaves it.
fn block_of(allocated: Option<Allocated>) -> *mut u8 {
    match allocated {
        Some(allocated) => allocated.block,
        None => no_memory(),
    }
}

#[cold]
fn no_memory() -> *mut u8 {
    set_errno(libc::ENOMEM);
    null_mut()
}

// SAFETY: blocks come from the allocator, which hands each out once, at least as long and as aligned as
// the layout asks, and keeps it until it is freed.
unsafe impl<C: Configured> GlobalAlloc for BrkMap<C> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match size_class::of_aligned(layout.size(), layout.align()) {
            Some(class) => {
                let block = process::current::<StdWord>().pop_inlined(class);
                if block.is_null() {
                    self.config.before();
                    alloc_slow(layout.size(), layout.align())
                } else {
                    block
                }
            }
            None => {
                self.config.before();
                alloc_big(layout.size(), layout.align())
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(class) = size_class::of_aligned(layout.size(), layout.align()) {
            if process::current::<StdWord>().push_inlined(class, block) {
                return;
            }
        }
        // SAFETY: as the caller vouches.
        unsafe { process::free_slow::<StdWord>(block) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if let Some(class) = size_class::of_aligned(layout.size(), layout.align()) {
            let block = process::current::<StdWord>().pop_inlined(class);
            if !block.is_null() {
                // SAFETY: a block of this class is at least as long as the layout.
                unsafe { block.write_bytes(0, layout.size()) };
                return block;
            }
        }
        self.config.before();
        zeroed_slow(layout.size(), layout.align())
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let align = layout.align();
        match (size_class::of_aligned(layout.size(), align), size_class::of_aligned(size, align)) {
            (Some(old), Some(new)) if old == new => block,
            // SAFETY: as the caller vouches.
            (Some(_), _) => unsafe { move_block(block, layout, size, OrElse::Fail) },
            // SAFETY: as the caller vouches.
            (None, _) => unsafe { resize_big(block, layout, size) },
        }
    }
}

#[cold]
#[inline(never)]
fn alloc_slow(size: usize, align: usize) -> *mut u8 {
    block_of(process::alloc_slow::<StdWord>(Rules::Rust, size, align))
}

#[cold]
#[inline(never)]
fn alloc_big(size: usize, align: usize) -> *mut u8 {
    block_of(process::alloc_big::<StdWord>(size, align))
}

#[inline(never)]
fn zeroed_slow(size: usize, align: usize) -> *mut u8 {
    let block = zeroed(process::alloc::<StdWord>(Rules::Rust, size, align), size);
    if block.is_null() { no_memory() } else { block }
}

/// Moves a block by copying it.
///
/// # Safety
/// As for `GlobalAlloc::realloc`.
#[inline(never)]
unsafe fn move_block(block: *mut u8, layout: Layout, size: usize, or_else: OrElse) -> *mut u8 {
    let allocator = BrkMap::new();
    // SAFETY: the layout is valid: the caller's alignment, and its promise about the size. The old block is
    // the caller's, and given up by it once the new one is there.
    unsafe {
        process::move_block(
            Move { block, usable: layout.size(), size, or_else },
            || allocator.alloc(Layout::from_size_align_unchecked(size, layout.align())),
            |old| allocator.dealloc(old, layout),
        )
    }
}

/// # Safety
/// As for `GlobalAlloc::realloc`; the block is not of a class.
#[inline(never)]
unsafe fn resize_big(block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
    // A mapping that moves keeps the alignment of a page only.
    let stays_big = size_class::of_aligned(size, layout.align()).is_none() && layout.align() <= 4096;
    if !stays_big {
        // SAFETY: as the caller vouches.
        return unsafe { move_block(block, layout, size, OrElse::Fail) };
    }
    // SAFETY: as the caller vouches.
    match unsafe { process::resize::<StdWord>(block, size) } {
        Resized::To(block) => block,
        // SAFETY: as the caller vouches.
        Resized::Copy { .. } => unsafe { move_block(block, layout, size, OrElse::Stretch) },
        Resized::NoBlock => fatal::wrong_use(c"realloc(): invalid pointer", block),
    }
}
