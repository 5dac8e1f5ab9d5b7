// SPDX-License-Identifier: GPL-2.0
//! A device: the pages it lends, and who has them.
//!
//! ```text
//!            Device                     Slot = AtomicPtr<RawPage>
//!   ┌──────────────────────┐
//!   │ slots  [ 0 ][ 1 ]..  │──▶ null ──first touch──▶ page ──module unload──▶ null
//!   │ mappings  VMAs now   │         compare_exchange          take_all
//!   │ faults    answered   │
//!   └──────────────────────┘
//! ```
//!
//! No lock: two processes may touch a page first at the same time; both make one, one of them wins the
//! slot, and the other gives its own back. A lock would have to be held across copies to user memory that
//! may fault into this very device.
//!
//! Orderings:
//! PUBLISH: `page` compare_exchange (Release) → load (Acquire). Who finds the pointer finds the bytes.

use core::ptr::{self, NonNull};
use core::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::errno::Errno;
use crate::page::{Page, PageRef};
use crate::shim::RawPage;
use crate::uapi::{self, Info};

/// How a device enters its pages into the page table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All at once, in mmap, by `remap_pfn_range`.
    Remap,
    /// One by one, in the fault handler.
    Fault,
}

impl Way {
    /// The shim knows two numbers only, and passes one of them.
    pub fn from_number(number: u32) -> Way {
        if number == uapi::WAY_REMAP { Way::Remap } else { Way::Fault }
    }

    pub fn number(self) -> u32 {
        match self {
            Way::Remap => uapi::WAY_REMAP,
            Way::Fault => uapi::WAY_FAULT,
        }
    }
}

type Slot = AtomicPtr<RawPage>;

pub struct Device {
    way: Way,
    slots: &'static [Slot],
    mappings: AtomicU32,
    faults: AtomicU64,
}

static REMAP_SLOTS: [Slot; uapi::REMAP_PAGES] = [const { AtomicPtr::new(ptr::null_mut()) }; _];
static FAULT_SLOTS: [Slot; uapi::FAULT_PAGES] = [const { AtomicPtr::new(ptr::null_mut()) }; _];

/// /dev/mymap
pub static MYMAP: Device = Device::new(Way::Remap, &REMAP_SLOTS);
/// /dev/mymap_fault
pub static MYMAP_FAULT: Device = Device::new(Way::Fault, &FAULT_SLOTS);

impl Device {
    const fn new(way: Way, slots: &'static [Slot]) -> Device {
        Device { way, slots, mappings: AtomicU32::new(0), faults: AtomicU64::new(0) }
    }

    pub fn of(way: Way) -> &'static Device {
        match way {
            Way::Remap => &MYMAP,
            Way::Fault => &MYMAP_FAULT,
        }
    }

    pub fn way(&self) -> Way {
        self.way
    }

    pub fn pages(&self) -> usize {
        self.slots.len()
    }

    /// Page `index`, made now if nobody touched it before. `None` past the end.
    pub fn page(&self, index: u64) -> Option<Result<PageRef<'_>, Errno>> {
        let index = usize::try_from(index).ok()?;
        let slot = self.slots.get(index)?;
        Some(self.page_in(slot, index))
    }

    fn page_in<'a>(&'a self, slot: &'a Slot, index: usize) -> Result<PageRef<'a>, Errno> {
        // PUBLISH, receiving half.
        let raw = match NonNull::new(slot.load(Acquire)) {
            Some(raw) => raw,
            None => {
                let made = Page::filled(index)?;
                let raw = made.into_raw();
                // PUBLISH, sending half; on failure the winner's bytes are received.
                match slot.compare_exchange(ptr::null_mut(), raw, Release, Acquire) {
                    // SAFETY: into_raw never gives null: a Page is NonNull.
                    Ok(_) => unsafe { NonNull::new_unchecked(raw) },
                    Err(winner) => {
                        // SAFETY: the slot did not take our reference, so it is still ours alone.
                        drop(unsafe { Page::from_raw(NonNull::new_unchecked(raw)) });
                        // SAFETY: the exchange from null failed, so what stands there is not null.
                        unsafe { NonNull::new_unchecked(winner) }
                    }
                }
            }
        };
        // SAFETY: a slot owns its page until take_all, whose caller promises that no lookup is left.
        Ok(unsafe { PageRef::from_raw(raw) })
    }

    /// Gives every page back.
    ///
    /// # Safety
    /// No callback runs and none can come: the device is not registered, and no open file or mapping
    /// is left. The module's reference count says so: each of them holds one.
    pub unsafe fn take_all(&self) {
        for slot in self.slots {
            // Relaxed: the caller's promise means that nobody races with this.
            if let Some(raw) = NonNull::new(slot.swap(ptr::null_mut(), Relaxed)) {
                // SAFETY: the slot held the reference that into_raw gave it, and has lost it just now.
                drop(unsafe { Page::from_raw(raw) });
            }
        }
    }

    // The counters below are Relaxed: each tells a number and orders no memory.

    pub fn mapping_added(&self) {
        self.mappings.fetch_add(1, Relaxed);
    }

    pub fn mapping_gone(&self) {
        self.mappings.fetch_sub(1, Relaxed);
    }

    pub fn mappings(&self) -> u32 {
        self.mappings.load(Relaxed)
    }

    pub fn fault_answered(&self) {
        self.faults.fetch_add(1, Relaxed);
    }

    pub fn info(&self) -> Info {
        let filled = self.slots.iter().filter(|slot| !slot.load(Relaxed).is_null()).count();
        Info {
            way: self.way.number(),
            pages: self.pages() as u32,
            filled: filled as u32,
            mappings: self.mappings(),
            faults: self.faults.load(Relaxed),
        }
    }
}
