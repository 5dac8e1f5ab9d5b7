//! Magazines while a profile is taken: what is popped is counted, and every free is seen.
//!
//! ```text
//!   plain    null │ block │ block │ block │ block │ stale …
//!                                     top ──┘
//!   parted   null │ block │ null │ block │ block │ stale … │ freed │ freed │ room …
//!                   hidden   stop   shown    └── top          aside      └─ end
//! ```
//!
//! The fast paths stay as they are. A pop takes what is shown until it meets the stop, and then goes the slow
//! way: so many were popped. At most as many are shown as come before the next sample of the class, which is
//! therefore a block that the slow path hands out. A push is refused, because the limit is null, and the slow
//! path puts the block aside, from where no fast pop takes it. Without that a program that frees and
//! allocates in turns would go on forever without a slow path, and no rule about slow paths is fair to it.
//!
//! All other paths meet magazines in their plain form: they have a magazine put together first, and parted
//! again when they are done.
//!
//! In both forms a fork's copy is whole, as in I11; while one becomes the other the heap is busy.
#![allow(unsafe_code)]

use super::parts::{AT, Aside};
use super::{BinAt, Heap, exposed};
use crate::arena::page_map::BIN;
use crate::base::config::{
    FEW_SHOWN, HOMING, MAGAZINE_CAP, MAGAZINE_FIRST, MAGAZINE_PROFILED, PROFILE, shown,
};
use crate::base::size_class::{self, CLASSES};
use crate::base::units::SizeClass;
use crate::samples::{Samples, is_on};
use crate::slab::slot::Slot;
use crate::slab::stamp;
use core::ptr::{null, null_mut};

/// How many slots are from one to another, which is not below it.
fn slots_between(from: *const Slot, to: *const Slot) -> usize {
    (to.addr() - from.addr()) / size_of::<Slot>()
}

/// What a slow path found when it counted the block that it was asked for.
pub struct Counted {
    pub is_sample: bool,
    /// Blocks that were freed since the last one of its class.
    pub freed: usize,
}

/// No magazine fills all of its small slots and may not grow: see `part`.
const _: () = {
    let mut class = 0;
    while class < CLASSES {
        assert!(MAGAZINE_CAP[class] as u32 != MAGAZINE_FIRST);
        class += 1;
    }
};

impl Heap {
    /// The row's entry of a bin.
    #[inline(always)]
    fn aside_at(&self, at: BinAt) -> &Aside {
        let slots = self.owned.slots.get().0.cast::<u8>();
        // SAFETY: the heap's memory has the row behind its slots; the offset is a bin's, which are as long.
        // The heap has slots: it is not `EMPTY`, whose callers ask `is_profiled` first.
        unsafe { &*slots.add(AT + at.0).cast() }
    }

    fn aside(&self, class: SizeClass) -> &Aside {
        self.aside_at(BinAt(class.0 as usize * BIN))
    }

    /// Whether its thread takes part in a profile.
    #[inline(always)]
    pub fn is_profiled(&self) -> bool {
        PROFILE && is_on(self.owned.session.get())
    }

    /// Another session has begun than the one that this heap is set up for.
    #[inline(always)]
    pub fn is_behind(&self, samples: &Samples) -> bool {
        PROFILE && self.owned.session.get() != samples.session()
    }

    /// Sets the heap up for a session. `freed` is told of the blocks that are at hand: fast paths may have
    /// taken sampled ones unseen until now.
    pub fn follow_session(&self, samples: &Samples, freed: impl Fn(*mut u8)) {
        self.while_busy(|| {
            let session = samples.session();
            for class in (0..CLASSES as u8).map(SizeClass) {
                _ = self.join(class);
                if is_on(session) {
                    self.magazine(class).blocks(self.bin(class)).iter().for_each(|slot| freed(slot.get()));
                    self.aside(class).ahead.set(samples.distance(size_class::bytes(class)));
                }
            }
            self.owned.session.set(session);
            for class in (0..CLASSES as u8).map(SizeClass) {
                if is_on(session) {
                    self.part(class);
                } else if self.magazine(class).cap() > 0 {
                    let (bin, magazine) = (self.bin(class), self.magazine(class));
                    magazine.set_cap(bin, self.owned.slots.get(), class, magazine.cap());
                }
            }
        });
    }

    /// Has its thread see each free from the next one on. Any thread may call this.
    pub fn refuse_pushes(&self) {
        self.bins.iter().for_each(|bin| bin.set_limit(null()));
    }

    /// A block of a class is wanted, and none is shown.
    pub fn count_one(&self, samples: &Samples, class: SizeClass) -> Counted {
        let freed = self.while_busy(|| self.join(class));
        let (aside, ahead) = (self.aside(class), self.aside(class).ahead.get());
        let next = || samples.distance(size_class::bytes(class));
        aside.ahead.set(ahead.checked_sub(1).unwrap_or_else(next));
        Counted { is_sample: ahead == 0, freed }
    }

    /// So few blocks of a class at hand are filled up before they are shown. None while no profile is taken.
    pub(super) fn few(&self, class: SizeClass) -> usize {
        let few = || (MAGAZINE_CAP[class.0 as usize] as u32 / 4).min(FEW_SHOWN);
        if self.is_profiled() { few() as usize } else { 0 }
    }

    /// A block of a magazine that was just put together, or null. Its blocks are shown again then. Null also
    /// where it has few though some were freed: they would be few time and again. A program that only
    /// allocates is filled up when it has none.
    pub fn pop_joined(&self, class: SizeClass, counted: &Counted) -> *mut u8 {
        let len = self.magazine(class).len(self.bin(class)) as usize;
        if counted.freed > 0 && len <= self.few(class) {
            return null_mut();
        }
        let block = self.pop(class);
        if !block.is_null() {
            self.while_busy(|| self.part(class));
        }
        block
    }

    /// Puts a block aside that belongs to the bin at `at`, as the page map and this heap's tests said, and is
    /// not stamped. False where the slow path must run, and nothing was done: where no profile is taken,
    /// where there is no room, and where the block may be a sample.
    #[inline(always)]
    pub fn put_aside(&self, samples: &Samples, at: BinAt, block: *mut u8) -> bool {
        let (aside, block) = (self.aside_at(at), exposed(block));
        let Some(room) = aside.room() else { return false };
        // SAFETY: there is room aside only where a profile is taken, or was.
        if unsafe { samples.may_have_one(block) } {
            return false;
        }
        aside.put(room, block);
        // SAFETY: a block of a slab begins there, and the program gave it up.
        unsafe { stamp::put(block) };
        true
    }

    /// The same for a block that is no sample, or not any more. Where there is no room, what was popped
    /// meanwhile has left some, or the magazine is full: then it stays put together.
    #[cold]
    pub fn put_aside_again(&self, samples: &Samples, at: BinAt, block: *mut u8) -> bool {
        if !self.is_profiled() || self.is_behind(samples) {
            return false;
        }
        let (aside, block) = (self.aside_at(at), exposed(block));
        let taken = aside.take(block) || {
            let class = SizeClass((at.0 / BIN) as u8);
            self.while_busy(|| {
                _ = self.join(class);
                if !self.bin(class).is_full() {
                    self.part(class);
                }
            });
            aside.take(block)
        };
        if taken {
            // SAFETY: as in `put_aside`.
            unsafe { stamp::put(block) };
        }
        taken
    }

    /// The same for a block that the Rust front vouches for.
    #[inline]
    pub fn put_any_aside(&self, samples: &Samples, block: *mut u8) -> bool {
        let Some(entry) = self.entry(block) else { return false };
        let takes = entry.class() < HOMING && entry.as_slab().is_some();
        if !takes || !self.is_profiled() || samples.may_have(block) {
            return false;
        }
        self.aside_at(BinAt(entry.bin_offset())).take(exposed(block))
    }

    /// Puts a magazine together, into its plain form. How many blocks were aside.
    pub(super) fn join(&self, class: SizeClass) -> usize {
        if !PROFILE {
            return 0;
        }
        let aside = self.aside(class);
        let stop = aside.stop.get();
        if stop.is_null() {
            return 0;
        }
        let bin = self.bin(class);
        let (top, shown) = (bin.top(), aside.shown.get() as usize);
        let left = slots_between(stop, top);
        aside.ahead.set(aside.ahead.get().saturating_sub((shown - left) as u32));
        let first = stop.wrapping_add(shown + 1);
        let count = slots_between(first, aside.end.get());
        // SAFETY: all of these are slots of this thread's magazine (I11): the stop, what is still shown above
        // it, and above what was shown the blocks that were put aside.
        unsafe {
            // The newest that is shown takes the stop's place, so that the others stay where they are.
            (*stop).set((*top).get());
            let top = top.sub(1);
            if count > 0 {
                core::ptr::copy(first, top.add(1).cast_mut(), count);
            }
            self.forget_parts(class);
            bin.set_top(top.add(count));
        }
        // Full a little earlier than it is: of the room that is left blocks are put aside, and what is popped
        // meanwhile leaves none.
        let magazine = self.magazine(class);
        let cap = magazine.cap() as usize;
        bin.set_limit(magazine.blocks(bin).as_ptr().wrapping_add(cap - cap / 8).wrapping_sub(1));
        count
    }

    /// Says that a magazine is plain.
    pub(super) fn forget_parts(&self, class: SizeClass) {
        if PROFILE && !self.is_no_heap() {
            let aside = self.aside(class);
            aside.stop.set(null());
            aside.end.set(null());
            aside.limit.set(null());
        }
    }

    /// Parts a magazine that takes blocks, where its thread takes part in a profile.
    pub(super) fn part(&self, class: SizeClass) {
        if !self.is_profiled() || self.magazine(class).cap() == 0 {
            return;
        }
        let most = (MAGAZINE_CAP[class.0 as usize] as u32).min(MAGAZINE_PROFILED);
        // One that a sparse heap reopened for a few stays as it is.
        if (MAGAZINE_FIRST..most).contains(&self.magazine(class).cap()) {
            self.hold(class, most);
        }
        let (bin, magazine, aside) = (self.bin(class), self.magazine(class), self.aside(class));
        // A signal handler may have come between, and allocated.
        if !aside.stop.get().is_null() {
            return;
        }
        let shown = magazine.len(bin).min(shown(class)).min(aside.ahead.get());
        let top = bin.top();
        // SAFETY: a magazine has a slot more than it fills (`magazine::FULL`, and a small one that may not
        // grow), so there is one above the top; and `shown` blocks below it, itself included.
        unsafe {
            let (stop, above) = (top.sub(shown as usize).add(1), top.add(1));
            (*above).set((*stop).get());
            (*stop).set(null_mut());
            aside.shown.set(shown);
            aside.stop.set(stop);
            aside.end.set(above.add(1));
            aside.limit.set(magazine.blocks(bin).as_ptr().add(magazine.cap() as usize + 1));
            bin.set_top(above);
        }
        bin.set_limit(null());
    }

    /// Puts a magazine together for a look at it. It is parted again by the next slow path of its class.
    pub fn show_all(&self, class: SizeClass) {
        if self.is_profiled() {
            self.while_busy(|| _ = self.join(class));
        }
    }

    /// Blocks that a magazine has, in either form.
    pub(super) fn blocks_held(&self, class: SizeClass) -> usize {
        let (bin, magazine) = (self.bin(class), self.magazine(class));
        let len = magazine.len(bin) as usize;
        if !self.is_profiled() {
            return len;
        }
        let aside = self.aside(class);
        match aside.stop.get() {
            stop if stop.is_null() => len,
            // Without the stop.
            stop => {
                len - 1 + slots_between(stop.wrapping_add(aside.shown.get() as usize + 1), aside.end.get())
            }
        }
    }

    /// As `while_busy`, with a magazine in its plain form.
    #[inline]
    pub(super) fn while_joined<R>(&self, class: SizeClass, f: impl FnOnce() -> R) -> R {
        self.while_busy(|| {
            _ = self.join(class);
            let result = f();
            self.part(class);
            result
        })
    }

    /// Its thread leaves: whoever has the heap next begins anew.
    pub(super) fn leave_session(&self) {
        self.owned.session.set(0);
    }
}
