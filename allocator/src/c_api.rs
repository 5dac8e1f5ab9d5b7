//! The C front: malloc's family with glibc's semantics.
//!
//! Generic over the thread's word; `export_c_api!` makes the symbols, for the preload library and for
//! the `override` feature alike. NULL means errno ENOMEM, or EINVAL where an alignment is none (but
//! `posix_memalign` returns its error and leaves errno alone); free and what it calls leave errno as it was.

mod brk;
mod export;
mod report;

pub use brk::{brk, sbrk};
pub use report::{MallInfo2, mallinfo2, malloc_stats};

use crate::allocator::{Allocated, Resized, SIZE_MAX, zeroed};
use crate::os::linux::set_errno;
use crate::os::thread::ThreadWord;
use crate::process::{self, ALLOCATOR};
use crate::size_class::{self, CLASS_MAX, STEP_MAX};
use crate::stats::Stats;
use crate::units::round_up;
use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

/// Where these functions are the process's malloc, the break is theirs too.
fn claim_break<W: ThreadWord>() {
    if W::is_process_malloc() {
        ALLOCATOR.arena.os.claim_break();
    }
}

#[inline(always)]
pub fn malloc<W: ThreadWord>(size: usize) -> *mut c_void {
    if size <= STEP_MAX {
        let class = size_class::of_step(size);
        let block = process::current::<W>().pop(class);
        if !block.is_null() {
            return block.cast();
        }
    }
    malloc_slow::<W>(size)
}

/// What the fast path did not serve: a larger class, an empty bin, or a request that no class serves.
#[inline(never)]
fn malloc_slow<W: ThreadWord>(size: usize) -> *mut c_void {
    if size <= CLASS_MAX && size < ALLOCATOR.tunables.mmap_threshold() {
        let block = process::current::<W>().pop(size_class::of(size));
        if !block.is_null() {
            return block.cast();
        }
    }
    malloc_cold::<W>(size)
}

#[cold]
#[inline(never)]
fn malloc_cold<W: ThreadWord>(size: usize) -> *mut c_void {
    give(allocate::<W>(size, 1))
}

/// A request by the C front's rules: from the threshold on, each is a mapping, whatever the classes
/// could serve.
fn allocate<W: ThreadWord>(size: usize, align: usize) -> Option<Allocated> {
    if process::current::<W>().is_none() {
        claim_break::<W>();
    }
    if size > SIZE_MAX {
        return None;
    }
    if size > STEP_MAX && size >= ALLOCATOR.tunables.mmap_threshold() {
        return process::alloc_big::<W>(size, align);
    }
    process::alloc::<W>(size, align)
}

fn give(allocated: Option<Allocated>) -> *mut c_void {
    match allocated {
        Some(allocated) => allocated.block.cast(),
        None => fail(libc::ENOMEM),
    }
}

/// NULL, and errno says why.
#[cold]
fn fail(errno: c_int) -> *mut c_void {
    set_errno(errno);
    null_mut()
}

/// # Safety
/// `block` is NULL or a live block of this allocator, and is not used again.
#[inline(always)]
pub unsafe fn free<W: ThreadWord>(block: *mut c_void) {
    if !process::current::<W>().push(block.cast()) {
        // SAFETY: as the caller vouches.
        unsafe { process::free_slow::<W>(block.cast()) }
    }
}

/// C23: the size is the caller's promise, and not needed here.
///
/// # Safety
/// As for `free`.
pub unsafe fn free_sized<W: ThreadWord>(block: *mut c_void, _size: usize) {
    // SAFETY: as the caller vouches.
    unsafe { free::<W>(block) }
}

/// C23, as `free_sized`.
///
/// # Safety
/// As for `free`.
pub unsafe fn free_aligned_sized<W: ThreadWord>(block: *mut c_void, _align: usize, _size: usize) {
    // SAFETY: as the caller vouches.
    unsafe { free::<W>(block) }
}

pub fn calloc<W: ThreadWord>(count: usize, size: usize) -> *mut c_void {
    let Some(bytes) = count.checked_mul(size) else { return fail(libc::ENOMEM) };
    if bytes <= STEP_MAX {
        let block = process::current::<W>().pop(size_class::of_step(bytes));
        if !block.is_null() {
            // SAFETY: a block of this class has at least `bytes` bytes.
            unsafe { block.write_bytes(0, bytes) };
            return block.cast();
        }
    }
    let block = zeroed(allocate::<W>(bytes, 1), bytes);
    if block.is_null() { fail(libc::ENOMEM) } else { block.cast() }
}

/// # Safety
/// As for `free`; where the result is not NULL, `block` is not used again.
pub unsafe fn realloc<W: ThreadWord>(block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() {
        return malloc::<W>(size);
    }
    if size == 0 {
        // glibc's answer: freed, and NULL.
        // SAFETY: as the caller vouches.
        unsafe { free::<W>(block) };
        return null_mut();
    }
    if size > SIZE_MAX {
        return fail(libc::ENOMEM);
    }
    // SAFETY: as the caller vouches.
    let usable = match unsafe { ALLOCATOR.resize(block.cast(), size) } {
        Resized::To(same) => return same.cast(),
        Resized::Copy { usable } => usable,
    };
    let Some(new) = allocate::<W>(size, 1) else {
        if size <= usable {
            return block;
        }
        // SAFETY: as the caller vouches.
        let grown = unsafe { ALLOCATOR.resize_without_copy(block.cast(), size) };
        return grown.map_or_else(|| fail(libc::ENOMEM), |grown| grown.cast());
    };
    let new = new.block;
    // SAFETY: two live blocks, each at least as long as the smaller of the two; the old one is the caller's
    // to give up.
    unsafe {
        new.copy_from_nonoverlapping(block.cast(), usable.min(size));
        free::<W>(block);
    }
    new.cast()
}

/// # Safety
/// As for `realloc`.
pub unsafe fn reallocarray<W: ThreadWord>(block: *mut c_void, count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: as the caller vouches.
        Some(bytes) => unsafe { realloc::<W>(block, bytes) },
        None => fail(libc::ENOMEM),
    }
}

/// # Safety
/// `out` is writable.
pub unsafe fn posix_memalign<W: ThreadWord>(out: *mut *mut c_void, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<*mut c_void>()) {
        return libc::EINVAL;
    }
    match allocate::<W>(size, align) {
        Some(allocated) => {
            // SAFETY: as the caller vouches.
            unsafe { *out = allocated.block.cast() };
            0
        }
        None => libc::ENOMEM,
    }
}

/// As glibc 2.38 has it, and C17: an alignment that is no power of two is refused.
pub fn aligned_alloc<W: ThreadWord>(align: usize, size: usize) -> *mut c_void {
    if align.is_power_of_two() { give(allocate::<W>(size, align)) } else { fail(libc::EINVAL) }
}

/// glibc's memalign rounds an alignment up to the next power of two.
pub fn memalign<W: ThreadWord>(align: usize, size: usize) -> *mut c_void {
    match align.checked_next_power_of_two() {
        Some(align) if align <= SIZE_MAX / 2 => give(allocate::<W>(size, align)),
        _ => fail(libc::EINVAL),
    }
}

pub fn valloc<W: ThreadWord>(size: usize) -> *mut c_void {
    give(allocate::<W>(size, page()))
}

pub fn pvalloc<W: ThreadWord>(size: usize) -> *mut c_void {
    match round_up(size, page()) {
        Some(pages) => give(allocate::<W>(pages, page())),
        None => fail(libc::ENOMEM),
    }
}

fn page() -> usize {
    use crate::os::Os;
    ALLOCATOR.arena.os.page()
}

/// # Safety
/// `block` is NULL or a live block of this allocator.
pub unsafe fn malloc_usable_size<W>(block: *mut c_void) -> usize {
    if block.is_null() {
        return 0;
    }
    // SAFETY: as the caller vouches.
    unsafe { ALLOCATOR.usable(block.cast()) }
}

/// `M_MMAP_THRESHOLD` is taken, the rest of glibc's parameters are accepted and mean nothing here; 0
/// where the value is out of range or the parameter is none.
pub fn mallopt<W>(parameter: c_int, value: c_int) -> c_int {
    // glibc's numbers, also where libc is another.
    const M_MMAP_THRESHOLD: c_int = -3;
    const M_ARENA_MAX: c_int = -8;
    match (parameter, usize::try_from(value)) {
        (M_MMAP_THRESHOLD, Ok(bytes)) => ALLOCATOR.tunables.set_mmap_threshold(bytes) as c_int,
        (M_MMAP_THRESHOLD, Err(_)) => 0,
        (M_ARENA_MAX..=-1 | 1, _) => 1,
        _ => 0,
    }
}

/// Gives back what is not in use. 1 where any memory was free to be given back.
pub fn malloc_trim<W: ThreadWord>(_keep: usize) -> c_int {
    let before = Stats::read();
    let heap = process::current::<W>();
    let inside = ALLOCATOR.trim((!heap.is_none()).then_some(heap));
    (inside || Stats::read().dirty_bytes < before.dirty_bytes) as c_int
}
