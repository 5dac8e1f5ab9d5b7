// SPDX-License-Identifier: GPL-2.0
//! One whole page of kernel memory, owned: what both devices lend to processes.
//!
//! A whole page, because the page table knows nothing smaller: of a kmalloc'd buffer a process
//! would see the neighbours too.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::errno::Errno;
use crate::shim::{self, RawPage};
use crate::uapi;

/// Pages taken from and given back to the kernel since load. Relaxed: counters read for the log once
/// nobody is left to change them, and ordered with nothing.
static ALLOCATED: AtomicU32 = AtomicU32::new(0);
static FREED: AtomicU32 = AtomicU32::new(0);

/// Pages allocated and freed so far.
pub fn totals() -> (u32, u32) {
    (ALLOCATED.load(Relaxed), FREED.load(Relaxed))
}

/// The owner of one reference to a page. Dropping it gives the page back.
#[must_use]
pub struct Page(NonNull<RawPage>);

impl Page {
    /// A zeroed page whose first bytes count up from `10 * index`.
    ///
    /// Zeroed, as the whole page becomes readable to a process.
    pub fn filled(index: usize) -> Result<Page, Errno> {
        let page = Page(NonNull::new(shim::shim_page_alloc()).ok_or(Errno::Nomem)?);
        ALLOCATED.fetch_add(1, Relaxed);
        let bytes = page.lend().address();
        for i in 0..uapi::BYTES {
            // SAFETY: BYTES is far below the page's size, and nobody else knows this page yet.
            unsafe { bytes.add(i).write((uapi::BYTES * index + i) as u8) };
        }
        Ok(page)
    }

    pub fn lend(&self) -> PageRef<'_> {
        PageRef(self.0, PhantomData)
    }

    /// Hands the reference over to whoever keeps the pointer.
    pub fn into_raw(self) -> *mut RawPage {
        let raw = self.0.as_ptr();
        core::mem::forget(self);
        raw
    }

    /// # Safety
    /// `raw` came from `into_raw`, and its reference has not been taken back since.
    pub unsafe fn from_raw(raw: NonNull<RawPage>) -> Page {
        Page(raw)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        FREED.fetch_add(1, Relaxed);
        // SAFETY: self owns one reference, and nobody can use it after this.
        unsafe { shim::shim_page_put(self.0.as_ptr()) }
    }
}

/// A page that somebody else owns for at least `'a`.
///
/// There is no `&[u8]` of its contents: processes write to them at any moment, so only copies by
/// raw pointer are sound.
#[derive(Clone, Copy)]
pub struct PageRef<'a>(NonNull<RawPage>, PhantomData<&'a Page>);

impl PageRef<'_> {
    /// # Safety
    /// The page stays owned for the lifetime the caller gives the result.
    pub unsafe fn from_raw(raw: NonNull<RawPage>) -> Self {
        PageRef(raw, PhantomData)
    }

    pub fn pfn(self) -> u64 {
        // SAFETY: the page is alive for 'a.
        unsafe { shim::shim_page_pfn(self.0.as_ptr()) }
    }

    pub fn address(self) -> *mut u8 {
        // SAFETY: the page is alive for 'a.
        unsafe { shim::shim_page_address(self.0.as_ptr()) }
    }

    /// For whoever enters it into a page table: an entry has a reference of its own.
    pub fn as_raw(self) -> NonNull<RawPage> {
        self.0
    }
}
