//! malloc's family, as malloc(3) has it.
#![allow(unsafe_code)]

use super::answer::{claim_break, fail, give, page};
use super::hand_on;
use super::names::{Front, Name};
use crate::allocator::{Resized, zeroed};
use crate::base::allocated::Allocated;
use crate::base::config::{ADDRESSES, PROFILE, UNBOUNDED};
use crate::base::fatal;
use crate::base::keys::Key;
use crate::base::size_class::{self, CLASS_MAX, STEP_MAX};
use crate::base::units::round_up;
use crate::heap::{Heap, Offer, Small};
use crate::process::fork::look;
use crate::process::{self, ALLOCATOR, Move, OrElse, Rules};
use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

/// `malloc`. Up to 1 KiB what the thread has at hand serves.
#[inline(always)]
pub fn malloc<F: Front>(size: usize) -> *mut c_void {
    let block = quick::<F>(size, STEP_MAX + 1);
    if block.is_null() { malloc_slow::<F>(size) } else { block }
}

/// A block that the thread has at hand, where `size` is below `limit`, which only sizes are that need no
/// search for the class; or NULL.
#[inline(always)]
fn quick<F: Front>(size: usize, limit: usize) -> *mut c_void {
    if size >= limit {
        return null_mut();
    }
    process::pop_for_c::<F>(size_class::of_step(size)).cast()
}

/// What the fast path did not serve: a larger class, an empty bin, or a request that no class serves.
#[inline(never)]
fn malloc_slow<F: Front>(size: usize) -> *mut c_void {
    let searched = STEP_MAX + 1..=CLASS_MAX;
    if searched.contains(&size) && size < ALLOCATOR.arena.settings.mmap_threshold() {
        let block = process::pop_for_c::<F>(size_class::of(size));
        if !block.is_null() {
            return block.cast();
        }
    }
    malloc_cold::<F>(size)
}

#[cold]
#[inline(never)]
fn malloc_cold<F: Front>(size: usize) -> *mut c_void {
    hand_on::note_request::<F>();
    prepare::<F>();
    give(process::alloc_slow::<F>(Rules::C, size, 1))
}

/// Before a thread's first block.
#[inline]
fn prepare<F: Front>() {
    if process::current::<F>().is_no_heap() {
        prepare_first::<F>();
    }
}

#[cold]
#[inline(never)]
fn prepare_first<F: Front>() {
    claim_break::<F>();
    hand_on::set_quick_limit::<F>();
    // What is set may change what serves the very first request.
    _ = look::<F>();
}

#[inline(never)]
fn allocate<F: Front>(size: usize, align: usize) -> Option<Allocated> {
    prepare::<F>();
    process::alloc::<F>(Rules::C, size, align)
}

/// `free`. A pointer that is seen to be none ends the program.
///
/// # Safety
/// `block` is NULL or a live block of this allocator, and is not used again.
#[inline(always)]
pub unsafe fn free<F: Front>(block: *mut c_void) {
    let heap = process::current::<F>();
    match heap.offer(block.cast()) {
        Offer::Taken => {}
        // SAFETY: as the caller vouches.
        Offer::Refused(at) if PROFILE => unsafe { process::free_refused::<F>(block.cast(), heap, at) },
        // SAFETY: as the caller vouches.
        _ => unsafe { process::free_unknown::<F>(block.cast()) },
    }
}

/// The name that free once had in glibc.
///
/// # Safety
/// As for `free`.
pub unsafe fn cfree<F: Front>(block: *mut c_void) {
    // SAFETY: as the caller vouches.
    unsafe {
        if !hand_on::free::<F>(Name::Cfree, block) {
            free::<F>(block);
        }
    }
}

/// `calloc`.
pub fn calloc<F: Front>(count: usize, size: usize) -> *mut c_void {
    let Some(bytes) = count.checked_mul(size) else { return fail(libc::ENOMEM) };
    let block = quick::<F>(bytes, hand_on::quick_limit());
    if !block.is_null() {
        // SAFETY: a block of this class has at least `bytes` bytes.
        unsafe { block.cast::<u8>().write_bytes(0, bytes) };
        return block;
    }
    hand_on::calloc::<F>(bytes).unwrap_or_else(|| calloc_slow::<F>(bytes))
}

pub fn calloc_slow<F: Front>(bytes: usize) -> *mut c_void {
    let block = zeroed(allocate::<F>(bytes, 1), bytes);
    if block.is_null() { fail(libc::ENOMEM) } else { block.cast() }
}

/// `realloc`. A size of 0 frees the block, as in glibc.
///
/// # Safety
/// As for `free`; where the result is not NULL, `block` is not used again.
#[inline(always)]
pub unsafe fn realloc<F: Front>(block: *mut c_void, size: usize) -> *mut c_void {
    // First: there are programs that allocate by it.
    if block.is_null() {
        let new = quick::<F>(size, hand_on::quick_limit());
        return if new.is_null() { realloc_null::<F>(size) } else { new };
    }
    let heap = process::current::<F>();
    // 0 is none of the steps' sizes.
    match heap.small(block.cast()).filter(|_| size.wrapping_sub(1) < STEP_MAX) {
        Some(small) if small.class() == size_class::of_step(size) => block,
        // SAFETY: as the caller vouches.
        Some(small) => unsafe { realloc_small::<F>(heap, small, size) },
        // SAFETY: as the caller vouches.
        None => unsafe { realloc_any::<F>(block, size) },
    }
}

/// A small block that is to be of another class, up to 1 KiB: what the thread has at hand serves.
///
/// # Safety
/// As for `realloc`; the heap is the calling thread's.
#[inline(never)]
unsafe fn realloc_small<F: Front>(heap: &Heap, small: Small, size: usize) -> *mut c_void {
    let (block, usable) = (small.block(), size_class::bytes(small.class()));
    // That has to be noted, which the other way does.
    let stays = size_class::is_half_used(usable, size);
    let moved = if stays { null_mut() } else { process::pop_of(heap, size_class::of_step(size)) };
    // SAFETY: as the caller vouches; two live blocks, each at least as long as the smaller of the two sizes.
    unsafe {
        if moved.is_null() {
            return realloc_any::<F>(block.cast(), size);
        }
        moved.copy_from_nonoverlapping(block, usable.min(size));
        match heap.offer_small(small) {
            Offer::Taken => {}
            Offer::Refused(at) if PROFILE => process::free_refused::<F>(block, heap, at),
            _ => process::free_checked::<F>(block),
        }
    }
    moved.cast()
}

/// A block of any size.
///
/// # Safety
/// As for `realloc`.
#[inline(never)]
unsafe fn realloc_any<F: Front>(block: *mut c_void, size: usize) -> *mut c_void {
    if size == 0 {
        // SAFETY: as the caller vouches.
        return unsafe { realloc_to_zero::<F>(block) };
    }
    if size > ADDRESSES {
        return fail(libc::ENOMEM);
    }
    // SAFETY: as the caller vouches.
    let usable = match unsafe { process::resize_checked::<F>(block.cast(), size) } {
        Resized::To(same) => return same.cast(),
        Resized::Copy { usable } => usable,
        // SAFETY: as the caller vouches.
        Resized::NoBlock => return unsafe { realloc_of_none::<F>(block, size) },
    };
    // SAFETY: as the caller vouches.
    let moved = unsafe {
        process::move_block(
            Move { block: block.cast(), usable, size, or_else: OrElse::Stay },
            || allocate::<F>(size, 1).map_or(null_mut(), |new| new.block),
            |old| free::<F>(old.cast()),
        )
    };
    if moved.is_null() { fail(libc::ENOMEM) } else { moved.cast() }
}

#[inline(never)]
fn realloc_null<F: Front>(size: usize) -> *mut c_void {
    // SAFETY: no block is given up.
    unsafe { hand_on::realloc::<F>(null_mut(), size) }.unwrap_or_else(|| malloc_slow::<F>(size))
}

/// glibc's answer: freed, and NULL.
///
/// # Safety
/// As for `free`.
#[inline(never)]
unsafe fn realloc_to_zero<F: Front>(block: *mut c_void) -> *mut c_void {
    // SAFETY: as the caller vouches.
    unsafe {
        if ALLOCATOR.usable(block.cast()).is_none() {
            return realloc_of_none::<F>(block, 0);
        }
        free::<F>(block);
    }
    null_mut()
}

/// The pointer is no block of this front.
///
/// # Safety
/// As for `realloc`.
#[cold]
#[inline(never)]
unsafe fn realloc_of_none<F: Front>(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: as the caller vouches.
    unsafe { hand_on::realloc::<F>(block, size) }
        .unwrap_or_else(|| fatal::wrong_use(c"realloc(): invalid pointer", block.cast()))
}

/// `reallocarray`.
///
/// # Safety
/// As for `realloc`.
pub unsafe fn reallocarray<F: Front>(block: *mut c_void, count: usize, size: usize) -> *mut c_void {
    let Some(bytes) = count.checked_mul(size) else { return fail(libc::ENOMEM) };
    // SAFETY: as the caller vouches.
    unsafe { hand_on::reallocarray::<F>(block, bytes).unwrap_or_else(|| realloc::<F>(block, bytes)) }
}

/// `posix_memalign`: the error is the result, and errno stays as it was.
///
/// # Safety
/// `out` is writable.
pub unsafe fn posix_memalign<F: Front>(out: *mut *mut c_void, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || align % size_of::<*mut c_void>() != 0 {
        return libc::EINVAL;
    }
    let block = hand_on::posix_memalign::<F>(align, size)
        .unwrap_or_else(|| allocate_aligned::<F>(align, size).map_or(null_mut(), |new| new.block.cast()));
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: as the caller vouches.
    unsafe { *out = block };
    0
}

/// As glibc 2.38 has it, and C17: an alignment that is no power of two is refused.
pub fn aligned_alloc<F: Front>(align: usize, size: usize) -> *mut c_void {
    if align.is_power_of_two() { aligned::<F>(Name::AlignedAlloc, align, size) } else { fail(libc::EINVAL) }
}

/// glibc's memalign rounds an alignment up to the next power of two.
pub fn memalign<F: Front>(align: usize, size: usize) -> *mut c_void {
    match align.checked_next_power_of_two() {
        Some(align) => aligned::<F>(Name::Memalign, align, size),
        None => fail(libc::EINVAL),
    }
}

/// `valloc`: at a multiple of a page.
pub fn valloc<F: Front>(size: usize) -> *mut c_void {
    aligned::<F>(Name::Valloc, page(), size)
}

/// `pvalloc`: the same, and the size is rounded up to whole pages.
pub fn pvalloc<F: Front>(size: usize) -> *mut c_void {
    match round_up(size, page()) {
        Some(pages) => aligned::<F>(Name::Pvalloc, page(), pages),
        None => fail(libc::ENOMEM),
    }
}

/// Serves the function of a name that is asked for an alignment, a power of two.
fn aligned<F: Front>(name: Name, align: usize, size: usize) -> *mut c_void {
    hand_on::aligned::<F>(name, align, size).unwrap_or_else(|| give(allocate_aligned::<F>(align, size)))
}

pub fn allocate_aligned<F: Front>(align: usize, size: usize) -> Option<Allocated> {
    if align > 16 {
        ALLOCATOR.note_alignment(size);
    }
    allocate::<F>(size, align)
}

/// `malloc_usable_size`.
///
/// # Safety
/// `block` is NULL or a live block of this allocator.
pub unsafe fn malloc_usable_size<F: Front>(block: *mut c_void) -> usize {
    if block.is_null() {
        return 0;
    }
    ALLOCATOR.usable(block.cast()).unwrap_or_else(|| usable_of_none::<F>(block))
}

/// The pointer is no block of this front.
#[cold]
#[inline(never)]
fn usable_of_none<F: Front>(block: *mut c_void) -> usize {
    hand_on::malloc_usable_size::<F>()
        .unwrap_or_else(|| fatal::wrong_use(c"malloc_usable_size(): invalid pointer", block.cast()))
}

/// `M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD` are taken, the rest of glibc's parameters are accepted and mean
/// nothing here; 0 where the value is out of range or the parameter is none.
pub fn mallopt<F: Front>(parameter: c_int, value: c_int) -> c_int {
    // glibc's numbers, also where libc is another.
    const M_TRIM_THRESHOLD: c_int = -1;
    const M_MMAP_THRESHOLD: c_int = -3;
    const M_ARENA_MAX: c_int = -8;
    let set = |key, bytes| ALLOCATOR.arena.settings.set_by_program(key, bytes) as c_int;
    // Who sets something before the first request is not to be overruled by what is read then.
    _ = look::<F>();
    match (parameter, usize::try_from(value)) {
        (M_TRIM_THRESHOLD, bytes) => set(Key::DirtyFloor, bytes.unwrap_or(UNBOUNDED)),
        (M_MMAP_THRESHOLD, Ok(bytes)) => set(Key::MmapThreshold, bytes),
        (M_MMAP_THRESHOLD, Err(_)) => 0,
        (M_ARENA_MAX..=-1 | 1, _) => 1,
        _ => 0,
    }
}

/// Gives back what is not in use. 1 where any memory was free to be given back.
pub fn malloc_trim<F: Front>(_keep: usize) -> c_int {
    (process::trim::<F>().0 > 0) as c_int
}
