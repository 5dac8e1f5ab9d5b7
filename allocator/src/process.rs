//! The process's one allocator: one request, one free, one resize, for both fronts. Below: what ties it to
//! the process.
#![allow(unsafe_code)]

mod background;
pub mod configuration;
mod exit_key;
pub mod fork;
mod help;
mod instance;
mod moving;
pub mod profiling;
mod reports;
mod thread;
mod unload;
mod voice;
mod watch;
mod word;
pub mod zones;

use crate::allocator::Resized;
use crate::base::allocated::Allocated;
use crate::base::config::{ADDRESSES, PROFILE};
use crate::base::size_class::{self, STEP_MAX};
use crate::base::units::{Bytes, SizeClass};
use crate::heap::{BinAt, Heap, Stamps};
use crate::medium::MediumClass;
use crate::os::Os;
use crate::os::thread::ThreadWord;
use crate::slab::stamp;
use fork::{Way, look};
pub use instance::ALLOCATOR;
use instance::SAMPLES;
pub use moving::{Move, OrElse, move_block};
pub use word::current;

/// A block of a class, by the slow path. `asked` bytes of it were asked for.
#[cold]
#[inline(never)]
pub fn alloc_class<W: ThreadWord>(class: SizeClass, asked: usize) -> Option<Allocated> {
    let class = class.max(size_class::LEAST);
    if look::<W>() == Way::Barred {
        return ALLOCATOR.alloc_barred(size_class::bytes(class), 1);
    }
    watch::tick();
    if background::is_due() {
        background::start();
    }
    let heap = thread::attach::<W>();
    let slow = || or_after_trim(heap, || true, || ALLOCATOR.alloc_class(heap, class));
    if let Some(heap) = heap.filter(|_| PROFILE) {
        profiling::heed_tracers::<W>();
        ALLOCATOR.follow_profile(heap);
        if heap.is_profiled() {
            return ALLOCATOR.alloc_counted(heap, class, asked, slow);
        }
    }
    let block = current::<W>().pop(class);
    if !block.is_null() {
        return Some(Allocated::unknown(block));
    }
    let allocated = slow()?;
    if heap.is_none() {
        ALLOCATOR.draw_for(allocated.block, asked, size_class::bytes(class));
    }
    Some(allocated)
}

/// What `request` gets. Where it gets nothing, what is free but kept may be what is missing, as pages or as
/// address space: if that `may_help`, all of it is given back, and the request made again.
#[inline]
fn or_after_trim(
    heap: Option<&Heap>,
    may_help: impl FnOnce() -> bool,
    request: impl Fn() -> Option<Allocated>,
) -> Option<Allocated> {
    request().or_else(|| {
        if !may_help() {
            return None;
        }
        ALLOCATOR.trim(heap);
        request()
    })
}

/// Whose rules say what serves a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// Up to 32 KiB a class serves.
    Rust,
    /// From the mmap threshold on each request is a mapping, whatever the classes could serve. A block has no
    /// stamp while it is with the program.
    C,
}

impl Rules {
    #[inline(always)]
    fn class(self, size: usize, align: usize) -> Option<SizeClass> {
        match self {
            Rules::C if size > STEP_MAX && size >= ALLOCATOR.arena.settings.mmap_threshold() => None,
            Rules::C => size_class::of_aligned(size.max(1), align),
            Rules::Rust => size_class::of_aligned(size, align),
        }
    }
}

/// A block that the calling thread has at hand, for C's functions; or null.
#[inline(always)]
pub fn pop_for_c<W: ThreadWord>(class: SizeClass) -> *mut u8 {
    pop_of(current::<W>(), class)
}

/// The same of the calling thread's heap.
#[inline(always)]
pub fn pop_of(heap: &Heap, class: SizeClass) -> *mut u8 {
    let block = heap.pop(class);
    if !block.is_null() {
        // SAFETY: a block of a slab, and the caller's.
        unsafe { stamp::take_away(block) };
    }
    block
}

/// A block of any size and alignment.
pub fn alloc<W: ThreadWord>(rules: Rules, size: usize, align: usize) -> Option<Allocated> {
    if let Some(class) = rules.class(size, align) {
        let block = match rules {
            Rules::Rust => current::<W>().pop(class),
            Rules::C => pop_for_c::<W>(class),
        };
        if !block.is_null() {
            return Some(Allocated::unknown(block));
        }
    }
    alloc_slow::<W>(rules, size, align)
}

/// As `alloc`, where the thread has no such block at hand.
#[cold]
#[inline(never)]
pub fn alloc_slow<W: ThreadWord>(rules: Rules, size: usize, align: usize) -> Option<Allocated> {
    let Some(class) = rules.class(size, align) else { return alloc_big::<W>(size.max(1), align) };
    let allocated = alloc_class::<W>(class, size)?;
    if rules == Rules::C && allocated.zeroed_from > 0 {
        // SAFETY: as in `pop_for_c`.
        unsafe { stamp::take_away(allocated.block) };
    }
    Some(allocated)
}

/// A block that no class serves.
#[cold]
#[inline(never)]
pub fn alloc_big<W: ThreadWord>(size: usize, align: usize) -> Option<Allocated> {
    let most = size.saturating_add(align);
    if most > ADDRESSES {
        return None;
    }
    if look::<W>() == Way::Barred {
        return ALLOCATOR.alloc_barred(size, align);
    }
    if let Some(allocated) = medium_at_hand::<W>(size, align) {
        return Some(allocated);
    }
    watch::tick();
    if background::is_due() {
        background::start();
    }
    // The first request of a process sets it up, whatever its size.
    let heap = thread::attach::<W>();
    // Beyond reach nothing that is given back makes room.
    let may_help = || most <= ALLOCATOR.arena.os.reach();
    let allocated = or_after_trim(heap, may_help, || ALLOCATOR.alloc_big(heap, size, align))?;
    if ALLOCATOR.is_profiling() {
        draw_for_big(allocated.block, size);
    }
    Some(allocated)
}

/// A medium block that the thread has at hand.
#[inline]
fn medium_at_hand<W: ThreadWord>(size: usize, align: usize) -> Option<Allocated> {
    let class = MediumClass::of_aligned(size, align)?;
    let serves = size < ALLOCATOR.arena.settings.mmap_threshold() && !ALLOCATOR.is_profiling();
    if serves { current::<W>().pop_medium(class) } else { None }
}

#[cold]
fn draw_for_big(block: *mut u8, asked: usize) {
    ALLOCATOR.draw_for(block, asked, ALLOCATOR.usable(block).unwrap_or(asked));
}

/// Frees what C's fast path found to be a block of a slab, and the bin at `at` of `heap`, the calling
/// thread's, refused.
///
/// # Safety
/// As for `free_checked`.
#[cold]
#[inline(never)]
pub unsafe fn free_refused<W: ThreadWord>(block: *mut u8, heap: &Heap, at: BinAt) {
    if !PROFILE || !heap.put_aside(&SAMPLES, at, block) {
        // SAFETY: as the caller vouches.
        unsafe { free_refused_again::<W>(block, at) }
    }
}

/// # Safety
/// As for `free_checked`.
#[inline(never)]
unsafe fn free_refused_again<W: ThreadWord>(block: *mut u8, at: BinAt) {
    if PROFILE {
        ALLOCATOR.forget_sample(block);
        if current::<W>().put_aside_again(ALLOCATOR.samples, at, block) {
            return;
        }
    }
    // SAFETY: as the caller vouches.
    unsafe { free_checked::<W>(block) }
}

/// What a profile has to do with a free: it may have been a sample's. `aside` puts the block aside, which is
/// all then.
#[inline]
fn is_put_aside<W: ThreadWord>(block: *mut u8, aside: impl FnOnce(&Heap) -> bool) -> bool {
    if !PROFILE {
        return false;
    }
    profiling::heed_tracers::<W>();
    if ALLOCATOR.samples.session() == 0 {
        return false;
    }
    let heap = ALLOCATOR.attached::<W>();
    if let Some(heap) = heap {
        ALLOCATOR.follow_profile(heap);
    }
    let put = heap.is_some_and(aside);
    if !put {
        ALLOCATOR.forget_sample(block);
    }
    put
}

/// Has the thread a medium block at hand from now on that is given up, where that is all there is to do.
#[inline]
fn is_at_hand<W: ThreadWord>(block: *mut u8) -> bool {
    !is_awaited() && current::<W>().push_medium(&ALLOCATOR.arena, block)
}

/// Frees a block of a homing class, where that is all there is to do.
#[inline]
fn is_homed<W: ThreadWord>(block: *mut u8, stamps: Stamps) -> bool {
    let heap = current::<W>();
    let Some(block) = heap.homing(block, stamps) else { return false };
    heap.push_homing(block)
        || !is_awaited()
            && look::<W>() == Way::Free
            && heap.send_homing(&ALLOCATOR.arena, &ALLOCATOR.registry, block)
}

/// Whether something waits for a slow path of free: what is too much goes by it, and samples are looked for
/// there.
#[inline]
fn is_awaited() -> bool {
    ALLOCATOR.arena.budget.is_over() || ALLOCATOR.is_profiling() || profiling::has_news()
}

/// Frees what C's fast path did not find to be a block that it may take.
///
/// # Safety
/// As for `free_checked`.
#[cold]
#[inline(never)]
pub unsafe fn free_unknown<W: ThreadWord>(block: *mut u8) {
    if !is_homed::<W>(block, Stamps::Kept) {
        // SAFETY: as the caller vouches.
        unsafe { free_checked::<W>(block) }
    }
}

/// Frees what the fast path refused.
///
/// # Safety
/// `block` is null or a live block of this allocator, given up by the caller.
#[cold]
#[inline(never)]
pub unsafe fn free_slow<W: ThreadWord>(block: *mut u8) {
    if block.is_null() || is_homed::<W>(block, Stamps::None) {
        return;
    }
    if look::<W>() == Way::Barred {
        // It is lost: whatever it goes through may be half changed.
        return;
    }
    if is_at_hand::<W>(block) {
        return;
    }
    watch::tick();
    if is_put_aside::<W>(block, |heap| heap.put_any_aside(ALLOCATOR.samples, block)) {
        return;
    }
    // SAFETY: as the caller vouches.
    unsafe { ALLOCATOR.free_slow(thread::freer::<W>(), block) }
}

/// As `free_slow`, for C's free, which any pointer may be given.
///
/// # Safety
/// As for `free_slow`, as far as that cannot be seen.
#[cold]
#[inline(never)]
pub unsafe fn free_checked<W: ThreadWord>(block: *mut u8) {
    if block.is_null() || look::<W>() == Way::Barred || is_at_hand::<W>(block) {
        return;
    }
    is_put_aside::<W>(block, |_| false);
    watch::tick();
    // SAFETY: as the caller vouches.
    unsafe { ALLOCATOR.free_checked(thread::freer::<W>(), block) }
}

/// Changes a block's size without copying it, where that goes.
///
/// # Safety
/// As for `Allocator::resize`.
pub unsafe fn resize<W: ThreadWord>(block: *mut u8, size: usize) -> Resized {
    if look::<W>() == Way::Barred {
        let usable = ALLOCATOR.usable(block);
        return usable.map_or(Resized::NoBlock, |usable| Resized::Copy { usable });
    }
    if ALLOCATOR.is_profiling() {
        // SAFETY: as the caller vouches.
        return unsafe { resize_profiled(block, size) };
    }
    // SAFETY: as the caller vouches.
    unsafe { ALLOCATOR.resize(block, size) }
}

/// For a profile a span or a mapping of another length is a new block, and the old one is gone.
///
/// # Safety
/// As for `resize`.
#[cold]
#[inline(never)]
unsafe fn resize_profiled(block: *mut u8, size: usize) -> Resized {
    // Before another thread may get its addresses.
    let lifted = ALLOCATOR.lift_sample(block);
    // SAFETY: as the caller vouches.
    let resized = unsafe { ALLOCATOR.resize(block, size) };
    match resized {
        Resized::To(new) if ALLOCATOR.is_big(new) => {
            lifted.into_iter().for_each(|sampled| ALLOCATOR.drop_sample(block, sampled));
            draw_for_big(new, size);
        }
        // It is as it was.
        _ => lifted.into_iter().for_each(|sampled| ALLOCATOR.put_sample_back(block, sampled)),
    }
    resized
}

/// As `resize`, for C's realloc, which any pointer may be given: a block that is free ends the program.
///
/// # Safety
/// As for `resize`, as far as that cannot be seen.
#[inline(always)]
pub unsafe fn resize_checked<W: ThreadWord>(block: *mut u8, size: usize) -> Resized {
    if let Some(small) = current::<W>().small(block) {
        return ALLOCATOR.resize_small(block, small.class(), size);
    }
    ALLOCATOR.refuse_freed(block, c"realloc(): the block was freed");
    // SAFETY: as the caller vouches.
    unsafe { resize::<W>(block, size) }
}

/// Gives back all that can be. The pages that went.
pub fn trim<W: ThreadWord>() -> Bytes {
    if look::<W>() == Way::Barred {
        return Bytes(0);
    }
    let trimmed = ALLOCATOR.trim(ALLOCATOR.attached::<W>());
    Bytes(trimmed.inside_slabs.0 + trimmed.elsewhere.0)
}
