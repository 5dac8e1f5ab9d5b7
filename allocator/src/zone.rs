//! A zone: a heap of one's own, apart from the threads' heaps and from the arena. All it has lies in mappings
//! of its own, so its end is a few calls of munmap, however many blocks are out.
//!
//! ```text
//!   size, alignment ─┬─ at most 32 KiB ──► a class: a slab, one granule of a segment
//!                    ├─ below 1 MiB ─────► a span, granules side by side of a segment
//!                    └─ 1 MiB and above ─► a mapping       (and what is aligned to more than 64 KiB)
//! ```
//!
//! One lock guards it, with nothing of the global allocator's below it or above. Whoever frees says the
//! layout, as Rust's traits have it; what is in the tables is compared with that.
#![allow(unsafe_code)]

pub mod list;
mod record;
mod segment;
mod segments;
mod state;

use crate::base::allocated::Allocated;
use crate::base::config::{ADDRESSES, GRANULE};
use crate::base::fatal;
use crate::base::size_class;
use crate::base::units::{SizeClass, round_up};
use crate::base::why::OF_ZONE;
use crate::os::Os;
use crate::os::aligned::map_below;
use crate::sync::lock::{Guard, Inherited, Lock};
use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::AtomicPtr;
use record::Wrong;
use segment::{SEGMENT, Segment, has_room};
use segments::Mapping;
pub use state::Figures;
use state::State;

/// From so many bytes on a block is a mapping of its own: its pages cost so much that the calls do not count.
const LARGE: usize = 1 << 20;

pub struct Zone {
    state: Lock<State>,
    /// The neighbours in the list of all zones, under that one's lock.
    next: AtomicPtr<Zone>,
    prev: AtomicPtr<Zone>,
}

/// What serves a request. Bytes are whole pages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Class(SizeClass),
    Span(usize),
    Large(usize),
}

impl Way {
    fn of(layout: Layout, page: usize) -> Option<Way> {
        let (size, align) = (layout.size(), layout.align());
        if let Some(class) = size_class::of_aligned(size, align) {
            return Some(Way::Class(class.max(size_class::LEAST)));
        }
        let bytes = round_up(size.max(1), page).filter(|&bytes| bytes.max(align) <= ADDRESSES)?;
        Some(if bytes < LARGE && align <= GRANULE { Way::Span(bytes) } else { Way::Large(bytes) })
    }

    /// How many bytes of the limit it takes.
    fn bytes(self) -> usize {
        match self {
            Way::Class(class) => size_class::bytes(class),
            Way::Span(bytes) | Way::Large(bytes) => bytes,
        }
    }
}

impl Zone {
    /// A new zone whose blocks have at most `limit` bytes together. None where there is no memory for it.
    pub fn make<O: Os>(os: &O, limit: usize) -> Option<NonNull<Zone>> {
        const { assert!(has_room::<Zone>()) };
        let first = map_below(os, SEGMENT, SEGMENT, OF_ZONE)?;
        // Where huge pages are given unasked a zone of a few blocks would be 2 MiB. Where the kernel has none
        // it refuses.
        // SAFETY: a new mapping, ours.
        unsafe { os.advise_small(first, SEGMENT, OF_ZONE) };
        let home = first.expose_provenance();
        let zone: *mut Zone = Segment::room(home).cast();
        // SAFETY: a new mapping, with room for a zone that nobody uses yet.
        unsafe {
            zone.write(Zone {
                state: Lock::new(State::begin(home, limit)),
                next: AtomicPtr::default(),
                prev: AtomicPtr::default(),
            });
        }
        NonNull::new(zone)
    }

    /// Unmaps the zone and all its blocks.
    ///
    /// # Safety
    /// `zone` is from `make` and in no list. Nobody uses it, or one of its blocks, from here on.
    pub unsafe fn unmake<O: Os>(zone: NonNull<Zone>, os: &O) {
        // SAFETY: as the caller vouches.
        let mut mappings = unsafe { zone.as_ref() }.state.lock().take_all();
        for (addr, entry) in mappings.iter() {
            let (Mapping::Segment(len) | Mapping::Large(len)) = Mapping::of(entry);
            let at = core::ptr::with_exposed_provenance_mut(addr);
            // SAFETY: a mapping of the zone's. Where the kernel refuses (its count of mappings is full) the
            // pages go, and the addresses are lost.
            unsafe {
                if !os.unmap(at, len, OF_ZONE) {
                    os.purge(at, len, OF_ZONE);
                }
            }
        }
        mappings.unmap(os);
    }

    /// The lock. None where a signal handler of this thread asks, that interrupted it in here.
    fn lock(&self) -> Option<Guard<'_, State>> {
        match self.state.try_lock() {
            None if self.state.is_mine() => None,
            None => Some(self.state.lock()),
            guard => guard,
        }
    }

    /// A block for a layout of any size but none. None beyond the limit, and where there is no memory.
    pub fn alloc<O: Os>(&self, os: &O, layout: Layout) -> Option<Allocated> {
        take(&mut *self.lock()?, os, Way::of(layout, os.page())?, layout.align(), 0)
    }

    /// Takes a block back. One that is none of this zone's, or of another layout, ends the program.
    ///
    /// # Safety
    /// The caller gives the block up.
    pub unsafe fn dealloc<O: Os>(&self, os: &O, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller vouches.
        if let Err(wrong) = unsafe { self.put(os, block, Way::of(layout, os.page())) } {
            refuse(wrong, block);
        }
    }

    /// # Safety
    /// As for `dealloc`.
    unsafe fn put<O: Os>(&self, os: &O, block: *mut u8, way: Option<Way>) -> Result<(), Wrong> {
        // What a signal handler frees that interrupted this thread in here stays until the zone's end.
        let Some(mut state) = self.lock() else { return Ok(()) };
        match way.ok_or(Wrong::Layout)? {
            Way::Class(class) => state.put_small(os, class, block),
            Way::Span(bytes) => state.put_span(os, bytes, block),
            Way::Large(len) => {
                state.leave_large(len, block)?;
                drop(state);
                // SAFETY: out of the index, so it is this call's alone, and nothing in it is needed.
                unsafe {
                    if !os.unmap(block, len, OF_ZONE) {
                        os.purge(block, len, OF_ZONE);
                    }
                }
                Ok(())
            }
        }
    }

    /// Gives a block another size, where it is or by a copy. None as for `alloc`: it is then as it was.
    ///
    /// # Safety
    /// The block is the caller's, of this layout; it uses the result in its stead.
    pub unsafe fn realloc<O: Os>(
        &self,
        os: &O,
        block: *mut u8,
        layout: Layout,
        size: usize,
    ) -> Option<*mut u8> {
        let wanted = Layout::from_size_align(size, layout.align()).ok()?;
        let (Some(old), new) = (Way::of(layout, os.page()), Way::of(wanted, os.page())?) else {
            refuse(Wrong::Layout, block);
        };
        let mut state = self.lock()?;
        let copy = match resize(&mut state, os, block, Change { old, new, align: layout.align() }) {
            Ok(Resized::To(block)) => return Some(block),
            Ok(Resized::Refused) => return None,
            Ok(Resized::Copy(copy)) => copy,
            Err(wrong) => {
                drop(state);
                refuse(wrong, block);
            }
        };
        drop(state);
        // SAFETY: two blocks of the caller's, each at least as long as the smaller size. The old one is given
        // up.
        unsafe {
            copy.copy_from_nonoverlapping(block, layout.size().min(size));
            self.dealloc(os, block, layout);
        }
        Some(copy)
    }

    /// How much memory it has. None below a signal handler that interrupted this thread in here.
    pub fn figures(&self) -> Option<Figures> {
        Some(self.lock()?.figures())
    }

    /// In the child of a fork.
    ///
    /// # Safety
    /// As for `Allocator::repair_after_fork`.
    unsafe fn repair_after_fork(&self) {
        // SAFETY: as the caller vouches.
        if unsafe { self.state.inherit() } == Inherited::Torn {
            self.state.lock().rebuild();
        }
    }
}

/// Takes a block, while `credit` bytes of another are as good as given up.
fn take<O: Os>(state: &mut State, os: &O, way: Way, align: usize, credit: usize) -> Option<Allocated> {
    if !state.allows(way.bytes(), credit) {
        return None;
    }
    match way {
        Way::Class(class) => state.take_small(os, class),
        Way::Span(bytes) => state.take_span(os, bytes),
        Way::Large(len) => state.map_large(os, len, align),
    }
}

/// A block's way, and the one that it is to have.
struct Change {
    old: Way,
    new: Way,
    align: usize,
}

enum Resized {
    To(*mut u8),
    /// A new block, to be filled.
    Copy(*mut u8),
    Refused,
}

fn resize<O: Os>(state: &mut State, os: &O, block: *mut u8, change: Change) -> Result<Resized, Wrong> {
    let Change { old, new, align } = change;
    let in_place = match old {
        Way::Class(class) => {
            state.has_small(class, block)?;
            (new == old).then_some(block)
        }
        Way::Span(bytes) => {
            let stretch = state.has_span(bytes, block)?;
            let stays = match new {
                Way::Span(new) => state.allows(new, bytes) && state.resize_span(os, block, stretch, new),
                Way::Class(_) | Way::Large(_) => false,
            };
            stays.then_some(block)
        }
        Way::Large(len) => {
            state.has_large(len, block)?;
            match new {
                Way::Large(new) if new == len => Some(block),
                // A mapping that moves keeps the alignment of a page only.
                Way::Large(new) if align <= os.page() && state.allows(new, len) => {
                    let moved = state.remap_large(os, block, len, new);
                    return Ok(moved.map_or(Resized::Refused, Resized::To));
                }
                _ => None,
            }
        }
    };
    if let Some(block) = in_place {
        return Ok(Resized::To(block));
    }
    let copy = take(state, os, new, align, old.bytes());
    Ok(copy.map_or(Resized::Refused, |copy| Resized::Copy(copy.block)))
}

#[cold]
fn refuse(wrong: Wrong, block: *mut u8) -> ! {
    let what = match wrong {
        Wrong::NoBlock => c"Heap::dealloc(): no block of this heap",
        Wrong::Freed => c"Heap::dealloc(): the block was freed",
        Wrong::Layout => c"Heap::dealloc(): the block has another layout",
    };
    fatal::wrong_use(what, block)
}

#[cfg(test)]
mod tests;
