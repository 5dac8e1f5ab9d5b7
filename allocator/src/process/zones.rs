//! The heaps of one's own in this process.
#![allow(unsafe_code)]

use super::fork::look;
use super::instance::{ALLOCATOR, ZONES};
use crate::base::allocated::Allocated;
use crate::os::thread::ThreadWord;
use crate::zone::{Figures, Zone};
use core::alloc::Layout;
use core::ptr::NonNull;

/// A new one. None where there is no memory for it, and below a signal handler that interrupted this thread
/// while it made or ended another.
pub fn make<W: ThreadWord>(limit: usize) -> Option<NonNull<Zone>> {
    _ = look::<W>();
    if ZONES.is_mine() {
        return None;
    }
    let zone = Zone::make(&ALLOCATOR.arena.os, limit)?;
    // SAFETY: it stays until `unmake`.
    unsafe { ZONES.add(zone) };
    Some(zone)
}

/// Ends one, and with it all its blocks.
///
/// # Safety
/// `zone` is from `make`; nobody uses it, or one of its blocks, from here on.
pub unsafe fn unmake<W: ThreadWord>(zone: NonNull<Zone>) {
    _ = look::<W>();
    if ZONES.is_mine() {
        // As in `make`: it stays.
        return;
    }
    // SAFETY: as the caller vouches.
    unsafe {
        ZONES.remove(zone);
        Zone::unmake(zone, &ALLOCATOR.arena.os);
    }
}

/// # Errors
/// None beyond the limit, and where there is no memory.
pub fn alloc<W: ThreadWord>(zone: &Zone, layout: Layout) -> Option<Allocated> {
    _ = look::<W>();
    zone.alloc(&ALLOCATOR.arena.os, layout)
}

/// # Safety
/// As for `Zone::dealloc`.
pub unsafe fn dealloc<W: ThreadWord>(zone: &Zone, block: *mut u8, layout: Layout) {
    _ = look::<W>();
    // SAFETY: as the caller vouches.
    unsafe { zone.dealloc(&ALLOCATOR.arena.os, block, layout) };
}

/// # Safety
/// As for `Zone::realloc`.
pub unsafe fn realloc<W: ThreadWord>(
    zone: &Zone,
    block: *mut u8,
    layout: Layout,
    size: usize,
) -> Option<*mut u8> {
    _ = look::<W>();
    // SAFETY: as the caller vouches.
    unsafe { zone.realloc(&ALLOCATOR.arena.os, block, layout, size) }
}

pub fn figures<W: ThreadWord>(zone: &Zone) -> Figures {
    _ = look::<W>();
    zone.figures().unwrap_or_default()
}
