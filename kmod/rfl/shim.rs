// SPDX-License-Identifier: GPL-2.0
//! What the C shim says in C, said to `kernel::bindings`: the one place that uses them.
//!
//! The first half has the names of `../src/shim.rs`, for the files that both modules share. The second
//! half is what the kernel crate has no safe words for yet: `vm_operations_struct`, and the three
//! `file_operations` that its `MiscDevice` leaves out.

use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::ptr;

use kernel::error::to_result;
use kernel::miscdevice::MiscDeviceOptions;
use kernel::mm::virt::{VmaNew, VmaRef, flags};
use kernel::page::{BorrowedPage, Page};
use kernel::prelude::*;
use kernel::types::Opaque;

use kernel::bindings;

use crate::file::{self, Lender};
use crate::page::PageRef;
use crate::request::Request;
use crate::transfer;
use crate::uapi::{self, Info};

pub const PAGE_SIZE: usize = kernel::page::PAGE_SIZE;
const _: () = assert!(PAGE_SIZE == 4096);

pub type RawPage = bindings::page;
pub type Vma = bindings::vm_area_struct;

// SAFETY: plain numbers without padding.
unsafe impl kernel::transmute::AsBytes for Info {}

// ---- pages ----

/// A zeroed page with one reference, or null.
pub fn shim_page_alloc() -> *mut RawPage {
    Page::alloc_page(GFP_KERNEL | __GFP_ZERO).map_or(ptr::null_mut(), |page| {
        let raw = page.as_ptr();
        core::mem::forget(page);
        raw
    })
}

/// # Safety
/// The caller owns one reference, and gives it up.
pub unsafe fn shim_page_put(page: *mut RawPage) {
    // SAFETY: by the caller's promise. As the kernel crate drops its own pages: the last reference frees it.
    unsafe { bindings::__free_pages(page, 0) }
}

/// # Safety
/// The page is alive.
pub unsafe fn shim_page_address(page: *mut RawPage) -> *mut u8 {
    // SAFETY: alive. x86-64 has no high memory: this is page_address, and there is nothing to unmap.
    unsafe { bindings::kmap_local_page(page) }.cast()
}

/// # Safety
/// The page is alive.
pub unsafe fn shim_page_pfn(page: *mut RawPage) -> u64 {
    // SAFETY: passed on; page_to_pfn is a macro, this asks the kernel's own page table.
    let physical = unsafe { bindings::slow_virt_to_phys(shim_page_address(page).cast()) };
    physical >> kernel::page::PAGE_SHIFT
}

/// The page, as the kernel crate borrows it.
pub fn borrowed(page: PageRef<'_>) -> BorrowedPage<'_> {
    // SAFETY: a PageRef is alive for its lifetime.
    unsafe { BorrowedPage::from_raw(page.as_raw()) }
}

// ---- VMAs ----

/// # Safety
/// `vma` is in its mmap call.
pub unsafe fn shim_vma_request(vma: *mut Vma) -> Request {
    // SAFETY: by the caller's promise.
    let new = unsafe { VmaNew::from_raw(vma) };
    Request {
        start: new.start() as u64,
        // SAFETY: as above; nobody else has the VMA yet.
        first: unsafe { (*vma).vm_pgoff } as u64,
        pages: ((new.end() - new.start()) / PAGE_SIZE) as u64,
        shared: new.flags() & flags::SHARED != 0,
        writable: new.writable(),
        executable: new.executable(),
    }
}

/// # Safety
/// As above, and the request was granted: it is not executable, and not writable unless `may_write`.
pub unsafe fn shim_vma_limit(vma: *mut Vma, may_write: bool) {
    // SAFETY: by the caller's promise.
    let new = unsafe { VmaNew::from_raw(vma) };
    // Neither can fail: what they refuse was refused before.
    let _ = new.try_clear_mayexec();
    if !may_write {
        let _ = new.try_clear_maywrite();
    }
}

/// # Safety
/// As above; `[start, start + size)` is in the VMA, and the frames belong to a page that outlives it.
pub unsafe fn shim_vma_remap(vma: *mut Vma, start: u64, pfn: u64, size: usize) -> i32 {
    // SAFETY: by the caller's promise; the protection is the VMA's own.
    unsafe { bindings::remap_pfn_range(vma, start as usize, pfn as usize, size, (*vma).vm_page_prot) }
}

// ---- the process's memory ----

/// # Safety
/// `from` is readable for `len` bytes. They may change meanwhile.
pub unsafe fn shim_copy_to_user(to: u64, from: *const u8, len: usize) -> usize {
    // SAFETY: by the caller's promise; `to` is checked by the kernel.
    unsafe { bindings::copy_to_user(to as *mut c_void, from.cast(), len) }
}

/// # Safety
/// `to` is writable for `len` bytes.
pub unsafe fn shim_copy_from_user(to: *mut u8, from: u64, len: usize) -> usize {
    // SAFETY: by the caller's promise; `from` is checked by the kernel.
    unsafe { bindings::copy_from_user(to.cast(), from as *const c_void, len) }
}

// ---- what MiscDevice has no words for ----

/// Gives the VMA the callbacks of its device.
pub fn set_operations<const WAY: u32>(vma: &VmaNew) {
    // SAFETY: a VmaNew may still be changed, and the table lives as long as the module, which the file holds.
    unsafe { (*vma.as_ptr()).vm_ops = &Operations::<WAY>::VMA };
}

/// The callbacks that the kernel calls through tables of pointers, and those tables. Only the kernel calls
/// them: with a VMA, a fault or a file of this very device, and the locks that its documentation names.
struct Operations<const WAY: u32>(PhantomData<()>);

impl<const WAY: u32> Operations<WAY> {
    /// No fault callback for remap: its table is full from the start.
    const VMA: bindings::vm_operations_struct = bindings::vm_operations_struct {
        open: Some(Self::vma_open),
        close: Some(Self::vma_close),
        fault: if WAY == uapi::WAY_FAULT { Some(Self::fault) } else { None },
        ..pin_init::zeroed()
    };

    const DEVICE: bindings::miscdevice =
        MiscDeviceOptions { name: if WAY == uapi::WAY_FAULT { c"mymap_fault" } else { c"mymap" } }
            .into_raw::<Lender<WAY>>();

    /// `MiscDevice`'s, and what it lacks. It has read and write, by slices; but what processes change
    /// at any moment cannot be a slice.
    const FILE: bindings::file_operations = bindings::file_operations {
        read: Some(Self::read),
        write: Some(Self::write),
        llseek: Some(Self::llseek),
        // SAFETY: into_raw points it at a constant.
        ..unsafe { *Self::DEVICE.fops }
    };

    unsafe extern "C" fn vma_open(_vma: *mut Vma) {
        Lender::<WAY>::device().mapping_added();
    }

    unsafe extern "C" fn vma_close(_vma: *mut Vma) {
        Lender::<WAY>::device().mapping_gone();
    }

    unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: the kernel passes a fault of a VMA whose lock it holds meanwhile.
        let at = unsafe { &(*vmf).__bindgen_anon_1 };
        // SAFETY: the same.
        let vma = unsafe { VmaRef::from_raw(at.vma) };
        match file::fault(Lender::<WAY>::device(), vma, at.address, at.pgoff as u64) {
            Ok(()) => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
            Err(error) if error == ENOMEM => bindings::vm_fault_reason_VM_FAULT_OOM,
            Err(_) => bindings::vm_fault_reason_VM_FAULT_SIGBUS,
        }
    }

    unsafe extern "C" fn read(_: *mut bindings::file, to: *mut u8, len: usize, pos: *mut i64) -> isize {
        // SAFETY: the kernel passes the file's position, which is ours for this call.
        let pos = unsafe { &mut *pos };
        moved(transfer::read(Lender::<WAY>::device(), to as u64, len, *pos as u64), pos)
    }

    unsafe extern "C" fn write(_: *mut bindings::file, from: *const u8, len: usize, pos: *mut i64) -> isize {
        // SAFETY: as in read.
        let pos = unsafe { &mut *pos };
        moved(transfer::write(Lender::<WAY>::device(), from as u64, len, *pos as u64), pos)
    }

    unsafe extern "C" fn llseek(file: *mut bindings::file, offset: i64, whence: c_int) -> i64 {
        let size = (Lender::<WAY>::device().pages() * PAGE_SIZE) as i64;
        // SAFETY: the kernel passes an open file.
        unsafe { bindings::fixed_size_llseek(file, offset, whence, size) }
    }
}

fn moved(result: Result<usize, crate::errno::Errno>, pos: &mut i64) -> isize {
    match result {
        Ok(bytes) => {
            *pos += bytes as i64;
            bytes as isize
        }
        Err(errno) => errno.code() as isize,
    }
}

/// A device that is there for as long as this lives. `MiscDeviceRegistration`, with the other table.
#[repr(transparent)]
#[pin_data(PinnedDrop)]
pub struct Registration<const WAY: u32> {
    #[pin]
    device: Opaque<bindings::miscdevice>,
}

// SAFETY: nothing can be done with a shared reference to it.
unsafe impl<const WAY: u32> Sync for Registration<WAY> {}
// SAFETY: deregistering may be done by any thread.
unsafe impl<const WAY: u32> Send for Registration<WAY> {}

impl<const WAY: u32> Registration<WAY> {
    pub fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            device <- Opaque::try_ffi_init(|slot: *mut bindings::miscdevice| {
                let device = bindings::miscdevice { fops: &Operations::<WAY>::FILE, ..Operations::<WAY>::DEVICE };
                // SAFETY: the slot is ours to write.
                unsafe { slot.write(device) };
                // SAFETY: the slot is pinned, and deregistered before it goes.
                to_result(unsafe { bindings::misc_register(slot) })
            }),
        })
    }
}

#[pinned_drop]
impl<const WAY: u32> PinnedDrop for Registration<WAY> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: registered by new.
        unsafe { bindings::misc_deregister(self.device.get()) };
    }
}
