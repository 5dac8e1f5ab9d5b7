//! A bin: a magazine's end, where blocks come and go, and what a pointer must be to come. All that the fast
//! paths touch.
//!
//! The null at a magazine's base is what an empty one pops; a push at the limit is refused. The blocks
//! themselves are not touched here: one that is cold stays so until somebody uses it, and a fresh one has no
//! page until then.
//!
//! Edge HELD of `sync/held.rs`: who looks into another thread's magazine (`heap/look.rs`) sees of every push
//! below the top the block that it brought.
#![allow(unsafe_code)]

use crate::arena::page_map::{BIN, YOUNG};
use crate::base::config::{HOMING, MAGAZINE_MAX};
use crate::base::units::SizeClass;
use crate::slab::slot::Slot;
use crate::slab::starts::{Starts, capacity};
use crate::sync::held::{Orderings, Strong};
use crate::sync::stores::in_order;
use core::cell::Cell;
use core::sync::atomic::{AtomicPtr, Ordering};

/// What the magazines of threads without a heap consist of: null, and never written, since a bin that points
/// here is at its limit.
pub static BOTTOM: Slot = Slot::empty();

#[repr(C, align(32))]
pub struct Bin {
    /// The slot of the newest block, or the null below the oldest. Its heap's thread alone writes it.
    top: AtomicPtr<Slot>,
    limit: Cell<*const Slot>,
    /// What C's free takes on the fast path: of slabs that are grown, and of young ones.
    grown: Starts,
    pub young: Starts,
}

const _: () = assert!(size_of::<Bin>() == BIN);
const _: () = assert!(core::mem::offset_of!(Bin, young) == Bin::TESTS + YOUNG);

/// How a bin's own thread touches its words.
pub trait Touch {
    fn load<T>(word: &AtomicPtr<T>) -> *mut T;
    fn set_slot(slot: &Slot, block: *mut u8);
    fn raise(top: &AtomicPtr<Slot>, slot: *mut Slot);
    fn lower(top: &AtomicPtr<Slot>, slot: *mut Slot);
}

/// As words that other threads may read.
pub struct Seen;

impl Touch for Seen {
    #[inline(always)]
    fn load<T>(word: &AtomicPtr<T>) -> *mut T {
        // Relaxed: this thread's own store.
        word.load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn set_slot(slot: &Slot, block: *mut u8) {
        slot.set(block);
    }

    #[inline(always)]
    fn raise(top: &AtomicPtr<Slot>, slot: *mut Slot) {
        // HELD.
        top.store(slot, Strong::RAISE);
    }

    #[inline(always)]
    fn lower(top: &AtomicPtr<Slot>, slot: *mut Slot) {
        // HELD.
        top.store(slot, Strong::LOWER);
    }
}

/// As a thread's own words, for the paths that are inlined into Rust programs: the compiler moves nothing of
/// a program's across an atomic one, and `Box::new` of 32 bytes would first be written elsewhere and then
/// copied (27 instructions with its loop for 23). Others read them where a program is linked with `override`,
/// and where it asks for statistics: words that the processor stores whole, in the order that is written
/// here.
pub struct Inlined;

impl Touch for Inlined {
    #[inline(always)]
    fn load<T>(word: &AtomicPtr<T>) -> *mut T {
        // SAFETY: a word of this thread's, which nobody else writes (I11).
        unsafe { word.as_ptr().read() }
    }

    #[inline(always)]
    fn set_slot(slot: &Slot, block: *mut u8) {
        // SAFETY: a slot of this thread's magazine (I11).
        unsafe { slot.0.as_ptr().write(block) }
    }

    #[inline(always)]
    fn raise(top: &AtomicPtr<Slot>, slot: *mut Slot) {
        in_order();
        Self::lower(top, slot);
    }

    #[inline(always)]
    fn lower(top: &AtomicPtr<Slot>, slot: *mut Slot) {
        // SAFETY: a word of this thread's (I11).
        unsafe { top.as_ptr().write(slot) }
    }
}

impl Bin {
    /// From a bin to its first test.
    pub const TESTS: usize = core::mem::offset_of!(Bin, grown);

    /// A bin that gives nothing and takes nothing.
    pub const fn none() -> Self {
        Bin {
            top: AtomicPtr::new((&raw const BOTTOM).cast_mut()),
            limit: Cell::new(&raw const BOTTOM),
            grown: Starts::none(),
            young: Starts::none(),
        }
    }

    /// Makes it one of a class, that gives and takes nothing yet. A homing class has no fast path of free:
    /// its blocks are not for every magazine.
    pub fn begin(&self, class: SizeClass) {
        let takes = if class < HOMING { capacity(class) } else { 0 };
        self.grown.begin(class, takes);
        self.young.begin(class, 0);
    }

    /// A block, or null.
    #[inline(always)]
    pub fn pop<T: Touch>(&self) -> *mut u8 {
        let top = T::load(&self.top);
        // SAFETY: the top is a slot of this magazine, or the null below them.
        let block = T::load(unsafe { &(*top).0 });
        if !block.is_null() {
            // SAFETY: only the slot at the base is null, so there is one below.
            T::lower(&self.top, unsafe { top.sub(1) });
        }
        block
    }

    /// Takes a block in. False where the magazine is full: nothing was done then.
    #[inline(always)]
    pub fn push<T: Touch>(&self, block: *mut u8) -> bool {
        let top = T::load(&self.top);
        if top.cast_const() == self.limit.get() {
            return false;
        }
        // SAFETY: below the limit there is a slot above the top.
        let slot = unsafe { top.add(1) };
        // SAFETY: a slot of this magazine (I11).
        T::set_slot(unsafe { &*slot }, block);
        T::raise(&self.top, slot);
        true
    }

    /// The slot of the newest block, for the magazine's own thread.
    pub fn top(&self) -> *const Slot {
        Seen::load(&self.top)
    }

    pub fn set_top(&self, slot: *const Slot) {
        Seen::raise(&self.top, slot.cast_mut());
    }

    /// As `top`, for any thread.
    pub fn top_seen(&self) -> *const Slot {
        // Relaxed: only an address, from which blocks are counted.
        self.top.load(Ordering::Relaxed)
    }

    /// Whether the magazine has a block. Any thread may ask.
    pub fn has(&self, block: *mut u8) -> bool {
        // HELD.
        let mut slot = self.top.load(Strong::LOOK).cast_const();
        for _ in 0..MAGAZINE_MAX {
            // SAFETY: the top is a slot of this magazine or the null below them, which ends the way down.
            // Slots stay where they are when a magazine moves to others.
            let held = unsafe { (*slot).get() };
            if held.is_null() || held == block {
                return !held.is_null();
            }
            slot = slot.wrapping_sub(1);
        }
        false
    }

    pub fn set_limit(&self, slot: *const Slot) {
        self.limit.set(slot);
    }
}
