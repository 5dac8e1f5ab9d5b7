//! Requests that are for somebody else's malloc: what its family lacks is made of what it has.
//!
//! ```text
//!   calloc                          ► its malloc
//!   memalign and the like           ► whichever of them it has; for 16 bytes its malloc
//!   realloc                         ► its malloc_usable_size, malloc and free
//!   reallocarray                    ► its realloc
//!   free_sized and the like, cfree  ► its free
//!   malloc_usable_size              ► 0: nothing says more of what is not ours
//!   mallinfo, mallinfo2             ► the other of the two
//! ```
//!
//! A family that is made of this front's functions (a tracer that comes before us, by dlsym; a program's
//! malloc over `__libc_malloc`) is none of another's: this front serves what it lacks, as libc's own malloc
//! does. So it does where a family can serve in no way.
#![allow(unsafe_code)]

use super::answer::{fail, page};
use super::mallinfo::{MallInfo, MallInfo2};
use super::names::{Front, Name};
use crate::base::size_class::STEP_MAX;
use crate::base::units::round_up;
use crate::os::errno::keep_errno;
use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Defines functions that give the process's function of a name, where it is another's.
macro_rules! theirs {
    ($($function:ident: $name:ident($($argument:ty),*) -> $result:ty;)*) => {
        $(fn $function<F: Front>() -> Option<unsafe extern "C" fn($($argument),*) -> $result> {
            // SAFETY: the process's function of that name, whose type malloc(3) says.
            F::elsewhere(Name::$name).map(|at| unsafe { core::mem::transmute(at) })
        })*
    };
}

theirs! {
    their_malloc: Malloc(usize) -> *mut c_void;
    their_free: Free(*mut c_void) -> ();
    their_realloc: Realloc(*mut c_void, usize) -> *mut c_void;
    their_malloc_usable_size: MallocUsableSize(*mut c_void) -> usize;
    their_memalign: Memalign(usize, usize) -> *mut c_void;
    their_aligned_alloc: AlignedAlloc(usize, usize) -> *mut c_void;
    their_posix_memalign: PosixMemalign(*mut *mut c_void, usize, usize) -> c_int;
    their_valloc: Valloc(usize) -> *mut c_void;
    their_mallinfo: Mallinfo() -> MallInfo;
    their_mallinfo2: Mallinfo2() -> MallInfo2;
}

/// Somebody got blocks of this front though the names lead to another's family: that one is made of them.
/// Relaxed: it stands alone.
static MADE_OF_OURS: AtomicBool = AtomicBool::new(false);

/// Somebody asked for this front's malloc, by whatever way.
pub fn note_request<F: Front>() {
    if their_malloc::<F>().is_some() {
        MADE_OF_OURS.store(true, Ordering::Relaxed);
    }
}

/// Below which size what a thread has at hand serves at once where not malloc is asked: none, where it may
/// have to be handed on. Relaxed: it is lowered by each thread that may get a block, before it does.
static QUICK_LIMIT: AtomicUsize = AtomicUsize::new(STEP_MAX + 1);

#[inline(always)]
pub fn quick_limit() -> usize {
    QUICK_LIMIT.load(Ordering::Relaxed)
}

/// For a thread that has nothing at hand yet.
pub fn set_quick_limit<F: Front>() {
    if is_theirs::<F>() {
        QUICK_LIMIT.store(0, Ordering::Relaxed);
    }
}

/// Whether blocks are made and freed by another's functions.
fn is_theirs<F: Front>() -> bool {
    their_malloc::<F>().is_some() && their_free::<F>().is_some()
}

/// Runs `serve` where blocks are made and freed by another's functions, which lack `name`. None where they do
/// not, or `serve` cannot.
#[inline]
fn for_family<F: Front, T>(name: Name, serve: impl FnOnce() -> Option<T>) -> Option<T> {
    if !is_theirs::<F>() || MADE_OF_OURS.load(Ordering::Relaxed) {
        return None;
    }
    lacking::<F, _>(name, serve).unwrap_or_else(|| {
        MADE_OF_OURS.store(true, Ordering::Relaxed);
        None
    })
}

/// Runs `serve` where the name leads here, and where it was not called from within such a call.
#[cold]
#[inline(never)]
fn lacking<F: Front, T>(name: Name, serve: impl FnOnce() -> T) -> Option<T> {
    if F::elsewhere(name).is_none() { F::outside(serve) } else { None }
}

pub fn calloc<F: Front>(bytes: usize) -> Option<*mut c_void> {
    for_family::<F, _>(Name::Calloc, || {
        // SAFETY: no preconditions.
        let block = unsafe { their_malloc::<F>()?(bytes) };
        if !block.is_null() {
            // SAFETY: a new block of so many bytes.
            unsafe { block.cast::<u8>().write_bytes(0, bytes) };
        }
        Some(block)
    })
}

/// A block at a multiple of `align`, a power of two; `name` is the function that was called.
pub fn aligned<F: Front>(name: Name, align: usize, size: usize) -> Option<*mut c_void> {
    for_family::<F, _>(name, || make_aligned::<F>(align, size))
}

/// As `aligned`, for `posix_memalign`: errno stays as it was.
pub fn posix_memalign<F: Front>(align: usize, size: usize) -> Option<*mut c_void> {
    for_family::<F, _>(Name::PosixMemalign, || keep_errno(|| make_aligned::<F>(align, size)))
}

fn make_aligned<F: Front>(align: usize, size: usize) -> Option<*mut c_void> {
    // The least that `posix_memalign` takes.
    let align = align.max(size_of::<*mut c_void>());
    // SAFETY: the alignment is a power of two and large enough for each; for `aligned_alloc` the size is a
    // multiple.
    unsafe {
        if let Some(memalign) = their_memalign::<F>() {
            return Some(memalign(align, size));
        }
        if let Some(posix_memalign) = their_posix_memalign::<F>() {
            let mut block = null_mut();
            let error = posix_memalign(&mut block, align, size);
            return Some(if error == 0 { block } else { fail(error) });
        }
        if let (Some(aligned_alloc), Some(size)) = (their_aligned_alloc::<F>(), round_up(size, align)) {
            return Some(aligned_alloc(align, size));
        }
        if let (Some(valloc), true) = (their_valloc::<F>(), align <= page()) {
            return Some(valloc(size));
        }
        // Blocks of 16 bytes and more are aligned for every type.
        if align <= 16 { Some(their_malloc::<F>()?(size.max(16))) } else { None }
    }
}

/// For a block that is none of this front's, or null.
///
/// # Safety
/// As for C's realloc.
pub unsafe fn realloc<F: Front>(block: *mut c_void, size: usize) -> Option<*mut c_void> {
    for_family::<F, _>(Name::Realloc, || {
        let (malloc, free) = (their_malloc::<F>()?, their_free::<F>()?);
        if block.is_null() {
            // SAFETY: no preconditions.
            return Some(unsafe { malloc(size) });
        }
        // SAFETY: a live block of that family, which the caller gives up where it gets another; the new one
        // is at least as long as what is copied.
        unsafe {
            let old = their_malloc_usable_size::<F>()?(block);
            let new = if size == 0 { null_mut() } else { malloc(size) };
            if !new.is_null() {
                new.cast::<u8>().copy_from_nonoverlapping(block.cast(), old.min(size));
            }
            if size == 0 || !new.is_null() {
                free(block);
            }
            Some(new)
        }
    })
}

/// # Safety
/// As for C's realloc.
pub unsafe fn reallocarray<F: Front>(block: *mut c_void, bytes: usize) -> Option<*mut c_void> {
    let realloc = their_realloc::<F>()?;
    // SAFETY: as the caller vouches.
    lacking::<F, _>(Name::Reallocarray, || unsafe { realloc(block, bytes) })
}

/// False where this front has to free it; `name` is the function that was called.
///
/// # Safety
/// As for C's free.
pub unsafe fn free<F: Front>(name: Name, block: *mut c_void) -> bool {
    // SAFETY: as the caller vouches.
    their_free::<F>().is_some_and(|free| lacking::<F, _>(name, || unsafe { free(block) }).is_some())
}

/// For a block that is none of this front's.
pub fn malloc_usable_size<F: Front>() -> Option<usize> {
    let is_theirs = their_malloc::<F>().is_some() && F::elsewhere(Name::MallocUsableSize).is_none();
    is_theirs.then_some(0)
}

pub fn mallinfo<F: Front>() -> Option<MallInfo2> {
    let mallinfo2 = their_mallinfo2::<F>()?;
    // SAFETY: no preconditions.
    lacking::<F, _>(Name::Mallinfo, || unsafe { mallinfo2() })
}

pub fn mallinfo2<F: Front>() -> Option<MallInfo2> {
    let mallinfo = their_mallinfo::<F>()?;
    // SAFETY: no preconditions.
    lacking::<F, _>(Name::Mallinfo2, || unsafe { mallinfo() }.into())
}
