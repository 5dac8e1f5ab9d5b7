//! The process's one allocator: a request, a block given back. Below: what ties it to the process.

mod environment;
pub mod fork;
mod thread;
mod unload;

use crate::allocator::{Allocated, Allocator, Resized};
use crate::base::config::ADDRESSES;
use crate::base::size_class;
use crate::base::units::SizeClass;
use crate::heap::registry::Tables;
use crate::os::Os;
use crate::os::linux::Linux;
use crate::os::thread::ThreadWord;
use fork::{Way, look};
pub use thread::current;

static TABLES: Tables = Tables::new();

/// One for each program or library that the crate is linked into.
pub static ALLOCATOR: Allocator<Linux> = Allocator::new(Linux::new(), &TABLES);

/// A block of a class, by the slow path.
#[cold]
#[inline(never)]
pub fn alloc_class<W: ThreadWord>(class: SizeClass) -> Option<Allocated> {
    let class = class.max(size_class::LEAST);
    if look::<W>() == Way::Barred {
        return ALLOCATOR.alloc_barred(size_class::bytes(class), 1);
    }
    let heap = thread::attach::<W>();
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
    if look::<W>() == Way::Barred {
        return ALLOCATOR.alloc_barred(size, align);
    }
    // The first request of a process sets it up, whatever its size.
    thread::attach::<W>();
    ALLOCATOR.alloc_big(size, align).or_else(|| {
        // Beyond reach nothing that is given back makes room.
        if most > ALLOCATOR.arena.os.reach() {
            return None;
        }
        ALLOCATOR.trim(ALLOCATOR.attached::<W>());
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
    if look::<W>() == Way::Barred {
        // It is lost: whatever it goes through may be half changed.
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
    if block.is_null() || look::<W>() == Way::Barred {
        return;
    }
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
    // SAFETY: as the caller vouches.
    unsafe { ALLOCATOR.resize(block, size) }
}

/// Gives back all that can be. Whether pages inside of slabs went.
pub fn trim<W: ThreadWord>() -> bool {
    look::<W>() == Way::Free && ALLOCATOR.trim(ALLOCATOR.attached::<W>())
}
