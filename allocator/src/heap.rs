//! A thread heap: magazines that its thread alone touches, and a shared half that anybody may.
//!
//! ```text
//!   owner's half   geometry, bins, magazines              no lock, no atomics
//!   shared half    inbox ── other threads push            lock-free
//!                  slabs ─ lists by class, depot        under the heap's lock
//!                  state                                  whether senders wait for an owner
//! ```
//!
//! A block's way: program → magazine of whoever frees it → its slab → arena, and back by refills. From
//! another thread's magazine it goes home in a parcel, by its heap's inbox, to that heap's depot.
//!
//! Lock order: the registry's lock, a heap's, the arena's. Never two heaps' locks at once.
#![allow(unsafe_code)]

mod aside;
mod at_hand;
mod bin;
mod door;
mod fresh;
pub mod glance;
mod guarded;
mod homing;
mod look;
pub mod magazine;
mod medium;
mod outbox;
pub mod owner;
mod pages;
mod parts;
pub mod registry;
mod remote;
mod send;
mod slack;

use crate::arena::page_map::Entry;
use crate::arena::{Arena, Window};
use crate::base::checked::Checked;
use crate::base::config::HOMING;
use crate::base::size_class::CLASSES;
use crate::base::units::{HeapId, SizeClass};
use crate::medium as medium_blocks;
use crate::os::Os;
use crate::slab::noted::Noted;
use crate::slab::site::Site;
use crate::slab::slabs::Slabs;
use crate::slab::stamp;
use crate::slab::starts::Starts;
use crate::sync::inbox::Inbox;
use at_hand::AtHand;
use bin::{Bin, Inlined, Seen};
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use door::Door;
use guarded::Guarded;
use magazine::{Magazine, Slots};

/// Whether free blocks have stamps, which C's free looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stamps {
    None,
    Kept,
}

/// Where a bin is, in bytes from a heap's first: what an entry of the page map says.
#[derive(Clone, Copy)]
pub struct BinAt(usize);

/// A small block that is with the program, as the page map and a heap's tests say.
#[derive(Clone, Copy)]
pub struct Small {
    entry: Entry,
    /// With the provenance of the arena's memory.
    block: *mut u8,
}

impl Small {
    #[inline(always)]
    pub fn class(self) -> SizeClass {
        self.entry.class()
    }

    #[inline(always)]
    pub fn block(self) -> *mut u8 {
        self.block
    }
}

/// What became of a block that was offered to a heap's fast path.
pub enum Offer {
    Taken,
    /// It is a block of a slab, and the bin that it came to takes none now.
    Refused(BinAt),
    Unknown,
}

/// Laid out so that the fast paths of malloc and free touch this head and one bin.
#[repr(C, align(64))]
pub struct Heap {
    /// First, so that a bin is at its class's multiple of 32 from the heap: no offset to add.
    bins: [Bin; CLASSES],
    /// The arena's window as this heap last saw it: none for the heap of threads without one.
    window: Cell<Window>,
    id: Cell<HeapId>,
    owned: Owned,
    pub shared: Shared,
}

/// What only the heap's own thread touches, off the fast paths.
struct Owned {
    magazines: Checked<Magazine, CLASSES>,
    slots: Cell<Slots>,
    /// Set while the thread changes its lists in ways that a fork's copy could tear. Edge BUSY of
    /// `sync/held.rs`.
    busy: AtomicBool,
    /// C's free may be given blocks of this heap: those that were never handed out are stamped.
    stamps: Cell<Stamps>,
    at_hand: AtHand,
    /// Medium blocks that the thread has at hand.
    medium: medium_blocks::AtHand,
    /// A bit for each class whose magazine may have anything: others look there alone. Relaxed everywhere:
    /// who counts is content with what was true a moment ago.
    open: [AtomicU64; OPEN_WORDS],
    /// This thread swept its magazines since its last refill, because a heap that it sent blocks to was
    /// sparse.
    swept_for_others: Cell<bool>,
    /// Its thread never allocated.
    only_frees: Cell<bool>,
    /// A magazine has outgrown its first slots since the heap was adopted.
    wide: Cell<bool>,
    /// The heap profile's session that it is set up for, or 0.
    session: Cell<u32>,
}

/// What every thread may touch.
#[repr(C, align(64))]
pub struct Shared {
    inbox: Inbox,
    state: AtomicU32,
    /// Its thread as the kernel knows it, or 0 where that is not known.
    thread: AtomicU64,
    /// The slabs are mostly free: senders should not wait. A hint.
    sparse: AtomicBool,
    /// Bytes that came back to the slabs of a sparse heap since their pages were purged; and that a round
    /// through them is due. Hints.
    slack: AtomicUsize,
    due: AtomicBool,
    slabs: Guarded,
}

// SAFETY: `Owned`, the bins and the geometry are touched by one thread at a time: the one whose word
// points here (or that took the heap's seat, edge PARK). Everything else is Sync.
unsafe impl Sync for Heap {}

/// The heap of threads that have none: nothing in it, nothing belongs to it. Never written to.
pub static EMPTY: Heap = Heap::vacant();

const OPEN_WORDS: usize = CLASSES.div_ceil(64);

const RUNNING: u32 = 1;
const PARKED: u32 = 2;

impl Heap {
    const fn vacant() -> Self {
        Heap {
            window: Cell::new(Window::NONE),
            id: Cell::new(HeapId(0)),
            bins: [const { Bin::none() }; CLASSES],
            owned: Owned {
                magazines: Checked([const { Magazine::none() }; CLASSES]),
                slots: Cell::new(Slots(core::ptr::null())),
                busy: AtomicBool::new(false),
                stamps: Cell::new(Stamps::None),
                at_hand: AtHand::new(),
                medium: medium_blocks::AtHand::new(),
                open: [const { AtomicU64::new(0) }; OPEN_WORDS],
                swept_for_others: Cell::new(false),
                only_frees: Cell::new(false),
                wide: Cell::new(false),
                session: Cell::new(0),
            },
            shared: Shared {
                inbox: Inbox::new(),
                state: AtomicU32::new(0),
                thread: AtomicU64::new(0),
                sparse: AtomicBool::new(false),
                slack: AtomicUsize::new(0),
                due: AtomicBool::new(false),
                slabs: Guarded::new(),
            },
        }
    }

    /// Makes the heap at `at` a fresh one.
    ///
    /// # Safety
    /// `at` is writable for `HEAP_BYTES` and aligned for a Heap; nobody uses what is there. It reads as zero,
    /// but for the heap itself, where a fork may have cut off who blanked it, or began to make it. The door
    /// is open, stays as long as the heap, and is no other's.
    unsafe fn create(at: *mut Heap, id: HeapId, door: &Door) {
        // SAFETY: zeros are a heap, and so is whatever this function wrote: cells and atomics.
        // It is written by its fields, because a reference that somebody had to an earlier one may still be
        // alive.
        let heap = unsafe { &*at };
        heap.id.set(id);
        heap.window.set(Window::NONE);
        for (class, bin) in (1..).map(SizeClass).zip(heap.bins.iter().skip(1)) {
            bin.begin(class);
        }
        let owned = &heap.owned;
        owned.slots.set(Slots(at.wrapping_add(1).cast()));
        // Relaxed: the heap is published with its seat.
        owned.busy.store(false, Ordering::Relaxed);
        owned.stamps.set(Stamps::None);
        owned.medium.forget();
        owned.swept_for_others.set(false);
        owned.only_frees.set(false);
        owned.wide.set(false);
        owned.session.set(0);
        for class in (0..CLASSES as u8).map(SizeClass) {
            heap.forget_parts(class);
            heap.magazine(class).close(heap.bin(class), owned.slots.get(), class);
        }
        heap.note_all_closed();
        owned.at_hand.forget();
        // Relaxed: the heap is published with its seat.
        heap.shared.sparse.store(false, Ordering::Relaxed);
        heap.shared.slack.store(0, Ordering::Relaxed);
        heap.shared.due.store(false, Ordering::Relaxed);
        // SAFETY: as the caller vouches.
        unsafe { heap.shared.slabs.set_door(door) };
        *heap.shared.slabs.lock() = Slabs::new();
    }

    pub fn id(&self) -> HeapId {
        self.id.get()
    }

    /// Whether it is `EMPTY`: the thread has no heap.
    pub fn is_no_heap(&self) -> bool {
        self.id().0 == 0
    }

    /// The fast path of malloc: a block of the class, or null where the slow path must run.
    #[inline(always)]
    pub fn pop(&self, class: SizeClass) -> *mut u8 {
        self.bin(class).pop::<Seen>()
    }

    /// The same for the Rust front.
    #[inline(always)]
    pub fn pop_inlined(&self, class: SizeClass) -> *mut u8 {
        self.bin(class).pop::<Inlined>()
    }

    /// The fast path of the Rust front for a block whose class is known. False where the slow path must run,
    /// and nothing was done.
    #[inline(always)]
    pub fn push_inlined(&self, class: SizeClass, block: *mut u8) -> bool {
        class < HOMING && self.bin(class).push::<Inlined>(exposed(block))
    }

    /// The page-map entry of any pointer into this heap's window.
    #[inline(always)]
    fn entry(&self, block: *mut u8) -> Option<Entry> {
        let window = self.window.get();
        // Null and most large mappings lie outside, and so does everything for the empty heap.
        let place = window.place(block.addr())?;
        // SAFETY: inside the window.
        Some(unsafe { window.map.get(place) })
    }

    /// What any pointer is, if the page map and this heap's tests say that a small block begins there which
    /// was handed out, and is not stamped as free. None where that is not known at once.
    #[inline(always)]
    pub fn small(&self, block: *mut u8) -> Option<Small> {
        let entry = self.entry(block)?;
        // SAFETY: the low half of an entry is a multiple of a bin's size, below that of all bins, or YOUNG
        // more: it leads from the first test to that of a bin.
        let starts = unsafe {
            let tests: *const Starts = self.bins.as_ptr().cast::<u8>().add(Bin::TESTS).cast();
            &*tests.byte_add(entry.test_offset())
        };
        let block = exposed(block);
        // SAFETY: as tested first, a block begins there.
        (starts.has(block.addr() as u16) && !unsafe { stamp::is_on(block) }).then_some(Small { entry, block })
    }

    /// The fast path of free for any pointer: what the page map says that it is. It takes only where a block
    /// begins that was handed out and is not stamped as free, and stamps it.
    #[inline(always)]
    pub fn offer(&self, block: *mut u8) -> Offer {
        self.small(block).map_or(Offer::Unknown, |small| self.offer_small(small))
    }

    /// The same for a block of which that is known already.
    #[inline(always)]
    pub fn offer_small(&self, Small { entry, block }: Small) -> Offer {
        let (at, bins) = (BinAt(entry.bin_offset()), self.bins.as_ptr());
        // SAFETY: as in `small`: the low half of an entry leads from the first bin to one.
        let bin = unsafe { &*bins.byte_add(at.0) };
        let taken = bin.push::<Seen>(block);
        if taken {
            // SAFETY: a block of a slab begins there, and the program gave it up.
            unsafe { stamp::put(block) };
            return Offer::Taken;
        }
        Offer::Refused(at)
    }

    /// The same. False where the slow path must run.
    pub fn push(&self, block: *mut u8) -> bool {
        matches!(self.offer(block), Offer::Taken)
    }

    #[inline(always)]
    fn bin(&self, class: SizeClass) -> &Bin {
        debug_assert!((class.0 as usize) < CLASSES);
        // SAFETY: a SizeClass is below CLASSES.
        unsafe { self.bins.get_unchecked(class.0 as usize) }
    }

    fn magazine(&self, class: SizeClass) -> &Magazine {
        &self.owned.magazines[class.0 as usize]
    }

    /// Copies the arena's newest window. Whether it is another than before.
    pub fn follow_window<O: Os>(&self, arena: &Arena<O>) -> bool {
        let newest = arena.window();
        let old = self.window.replace(newest);
        old != newest
    }

    /// Where this heap's slabs are.
    pub(crate) fn site<'a, O: Os>(&self, arena: &'a Arena<O>, noted: &'a Noted) -> Site<'a, O> {
        Site { arena, geometry: arena.started(), window: arena.window(), heap: self.id(), noted }
    }

    fn is_parked(&self) -> bool {
        // Relaxed: only chooses how soon a sender drains the inbox for the owner.
        self.shared.state.load(Ordering::Relaxed) == PARKED
    }

    fn mark_parked(&self) {
        // Relaxed: as above.
        self.shared.state.store(PARKED, Ordering::Relaxed);
    }

    /// Notes that its thread has it to free with.
    fn note_only_frees(&self) {
        self.owned.only_frees.set(true);
    }

    /// From here on its thread allocates, or is another. Whether it had the heap to free with.
    fn forget_only_frees(&self) -> bool {
        self.owned.only_frees.replace(false)
    }
}

/// Bytes of a heap with the slots of its magazines.
pub const HEAP_BYTES: usize = size_of::<Heap>() + parts::BEHIND;

/// The caller's pointer, re-made with the provenance that the arena's memory was exposed with: a
/// `Box<u8>` may write one byte through its own.
#[inline(always)]
fn exposed(block: *mut u8) -> *mut u8 {
    core::ptr::with_exposed_provenance_mut(block.addr())
}
