//! The process's one allocator, and what ties it to the process: the first call, the end of a thread,
//! the child of a fork, the environment.

mod unload;

use crate::allocator::{Allocated, Allocator};
use crate::config::{ADDRESSES, parse_bytes};
use crate::heap::Heap;
use crate::os::Os;
use crate::os::linux::{Linux, environment};
use crate::os::thread::{ThreadWord, arm_exit, at_fork_child, drop_exit, exit_key};
use crate::size_class;
use crate::sync::lock::Lock;
use crate::units::SizeClass;
use core::ffi::c_void;
use core::num::NonZeroU64;

/// One for each program or library that the crate is linked into.
pub static ALLOCATOR: Allocator<Linux> = Allocator::new(Linux::new());

/// The key of the exit hook, once the first thread came. In one word, so that a fork copies all of it.
static EXIT_KEY: Lock<Option<ExitKey>> = Lock::new(None);

/// A key plus two, or 1 where libc has none: the heaps of threads that end then stay as they are.
#[derive(Clone, Copy)]
struct ExitKey(NonZeroU64);

impl ExitKey {
    const NONE: ExitKey = ExitKey(NonZeroU64::MIN);

    fn new(key: Option<libc::pthread_key_t>) -> ExitKey {
        key.and_then(|key| NonZeroU64::new(key as u64 + 2)).map_or(ExitKey::NONE, ExitKey)
    }

    fn key(self) -> Option<libc::pthread_key_t> {
        self.0.get().checked_sub(2).map(|key| key as libc::pthread_key_t)
    }
}

/// libc calls a thread's exit hook again as long as it is armed, four times at least
/// (PTHREAD_DESTRUCTOR_ITERATIONS): parking in the third round serves the destructors of the earlier
/// ones from the thread's own heap.
const EXIT_ROUNDS: u32 = 3;

/// The calling thread's heap for the fast paths; `EMPTY` or `EXITED` where it has none.
#[inline(always)]
pub fn current<W: ThreadWord>() -> &'static Heap {
    // SAFETY: a thread's word is EMPTY, EXITED or a heap, and heaps are never unmade.
    unsafe { &*W::get().cast::<Heap>() }
}

/// A block of a class, by the slow path.
#[cold]
#[inline(never)]
pub fn alloc_class<W: ThreadWord>(class: SizeClass) -> Option<Allocated> {
    let class = class.max(size_class::LEAST);
    let heap = ALLOCATOR.attach::<W>(on_new_heap::<W>);
    let block = current::<W>().pop(class);
    if !block.is_null() {
        return Some(Allocated::new(block, false));
    }
    ALLOCATOR.alloc_class(heap, class).or_else(|| {
        // What is free but kept may be what is missing, as pages or as address space.
        ALLOCATOR.trim(heap);
        ALLOCATOR.alloc_class(heap, class)
    })
}

/// A block of any size and alignment.
pub fn alloc<W: ThreadWord>(size: usize, align: usize) -> Option<Allocated> {
    if let Some(class) = size_class::of_aligned(size, align) {
        let block = current::<W>().pop(class);
        if !block.is_null() {
            return Some(Allocated::new(block, false));
        }
        return alloc_class::<W>(class);
    }
    alloc_big::<W>(size, align)
}

/// A block that no class serves.
#[cold]
#[inline(never)]
pub fn alloc_big<W: ThreadWord>(size: usize, align: usize) -> Option<Allocated> {
    let most = size.saturating_add(align);
    if most > ADDRESSES {
        return None;
    }
    // The first request of a process sets it up, whatever its size.
    if current::<W>().is_none() {
        ALLOCATOR.attach::<W>(on_new_heap::<W>);
    }
    ALLOCATOR.alloc_big(size, align).or_else(|| {
        // Beyond reach nothing that is given back makes room.
        if most > ALLOCATOR.arena.os.reach() {
            return None;
        }
        let heap = current::<W>();
        ALLOCATOR.trim((!heap.is_none()).then_some(heap));
        ALLOCATOR.alloc_big(size, align)
    })
}

/// Frees what the fast path refused.
///
/// # Safety
/// `block` is null or a live block of this allocator, given up by the caller.
#[cold]
#[inline(never)]
pub unsafe fn free_slow<W: ThreadWord>(block: *mut u8) {
    if block.is_null() {
        return;
    }
    let heap = ALLOCATOR.attach::<W>(on_new_heap::<W>);
    // SAFETY: as the caller vouches.
    unsafe { ALLOCATOR.free_slow(heap, block) }
}

/// As `free_slow`, for C's free, which any pointer may be given.
///
/// # Safety
/// As for `free_slow`, as far as that cannot be seen.
#[cold]
#[inline(never)]
pub unsafe fn free_checked<W: ThreadWord>(block: *mut u8) {
    if block.is_null() {
        return;
    }
    let heap = ALLOCATOR.attach::<W>(on_new_heap::<W>);
    // SAFETY: as the caller vouches.
    unsafe { ALLOCATOR.free_checked(heap, block) }
}

/// A thread has its first heap, or one again.
#[cold]
fn on_new_heap<W: ThreadWord>(heap: &Heap) {
    heap.set_stamps(W::SERVES_C);
    let (key, first) = {
        let mut key = EXIT_KEY.lock();
        let first = key.is_none();
        (key.get_or_insert_with(|| ExitKey::new(exit_key(on_thread_exit::<W>))).key(), first)
    };
    if first {
        // All may allocate, so outside of the lock.
        read_environment();
        at_fork_child(in_fork_child::<W>);
        unload::watch();
    }
    if let Some(key) = key {
        arm_exit(key, core::ptr::from_ref(heap).cast::<c_void>().cast_mut());
    }
}

unsafe extern "C" fn on_thread_exit<W: ThreadWord>(word: *mut c_void) {
    // SAFETY: the hook was armed with the thread's heap.
    let heap = unsafe { &*word.cast::<Heap>() };
    // With the lock open: to arm the hook may allocate.
    let key = EXIT_KEY.lock().and_then(ExitKey::key);
    if let Some(key) = key
        && heap.count_exit() < EXIT_ROUNDS
    {
        return arm_exit(key, word);
    }
    // SAFETY: this is the thread, and its word changes with this call.
    unsafe { ALLOCATOR.detach::<W>(heap) };
}

/// libc must not call the exit hook any more. What the threads have stays as it is.
fn forget_exit_key() {
    let before = EXIT_KEY.lock().replace(ExitKey::NONE);
    if let Some(key) = before.and_then(ExitKey::key) {
        drop_exit(key);
    }
}

unsafe extern "C" fn in_fork_child<W: ThreadWord>() {
    // SAFETY: only this thread exists in a fork's child. A lock of a thread that is not there is opened;
    // the key behind it is one word.
    unsafe {
        if EXIT_KEY.is_locked() {
            EXIT_KEY.force_unlock();
        }
        ALLOCATOR.repair_after_fork(current::<W>());
    }
}

/// `BRKMAP_MMAP_THRESHOLD` and glibc's `MALLOC_MMAP_THRESHOLD_`: ours wins. A value that is none is said to
/// be so and left alone.
fn read_environment() {
    for name in [&b"BRKMAP_MMAP_THRESHOLD"[..], b"MALLOC_MMAP_THRESHOLD_"] {
        let Some(text) = environment(name) else { continue };
        if parse_bytes(text).is_some_and(|bytes| ALLOCATOR.tunables.set_mmap_threshold(bytes)) {
            return;
        }
        if name.starts_with(b"BRKMAP") {
            crate::fatal::warn(
                c"BRKMAP_MMAP_THRESHOLD is ignored: not a count of bytes up to 33554432 (decimal, or 0x…)",
            );
        }
    }
}
