//! The list of all zones, for the child of a fork: it opens their locks and puts right what another thread
//! was changing.
//!
//! It is linked forth and back. The links forth are right after every single store, and a fork's copy of them
//! too; those back follow from them.
#![allow(unsafe_code)]

use super::Zone;
use crate::sync::lock::Lock;
use crate::sync::stores::in_order;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};

pub struct List {
    first: AtomicPtr<Zone>,
    lock: Lock<()>,
}

/// Relaxed: links are read and written with the list's lock held, or by a process's only thread.
const LINK: Ordering = Ordering::Relaxed;

impl List {
    pub const fn new() -> List {
        List { first: AtomicPtr::new(core::ptr::null_mut()), lock: Lock::new(()) }
    }

    /// Whether the calling thread was interrupted in here.
    pub fn is_mine(&self) -> bool {
        self.lock.is_mine()
    }

    /// Adds a zone.
    ///
    /// # Safety
    /// It is in no list, and stays until it was removed.
    pub unsafe fn add(&self, zone: NonNull<Zone>) {
        let _guard = self.lock.lock();
        let next = self.first.load(LINK);
        // SAFETY: as the caller vouches; so did those of the others.
        unsafe {
            zone.as_ref().next.store(next, LINK);
            zone.as_ref().prev.store(core::ptr::null_mut(), LINK);
            if let Some(next) = next.as_ref() {
                next.prev.store(zone.as_ptr(), LINK);
            }
        }
        in_order();
        self.first.store(zone.as_ptr(), LINK);
    }

    /// Takes a zone out.
    ///
    /// # Safety
    /// It is in the list.
    pub unsafe fn remove(&self, zone: NonNull<Zone>) {
        let _guard = self.lock.lock();
        // SAFETY: zones in the list stay until they were removed.
        unsafe {
            let zone = zone.as_ref();
            let (prev, next) = (zone.prev.load(LINK), zone.next.load(LINK));
            prev.as_ref().map_or(&self.first, |prev| &prev.next).store(next, LINK);
            if let Some(next) = next.as_ref() {
                next.prev.store(prev, LINK);
            }
        }
        // Before the zone is unmapped, in a fork's copy too.
        in_order();
    }

    #[cfg(test)]
    pub fn hold_lock(&self) -> impl Sized + '_ {
        self.lock.lock()
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.first.load(LINK).is_null()
    }

    /// In the child of a fork.
    ///
    /// # Safety
    /// As for `Allocator::repair_after_fork`.
    pub unsafe fn repair_after_fork(&self) {
        // SAFETY: as the caller vouches; zones in the list are there.
        unsafe {
            self.lock.inherit();
            let (mut prev, mut at) = (core::ptr::null_mut(), self.first.load(LINK));
            while let Some(zone) = at.as_ref() {
                zone.prev.store(prev, LINK);
                zone.repair_after_fork();
                (prev, at) = (at, zone.next.load(LINK));
            }
        }
    }
}
