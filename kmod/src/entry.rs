// SPDX-License-Identifier: GPL-2.0
//! What the C shim calls. One line of thought each: name the device, forward, turn the answer into C's.
//!
//! The kernel calls its callbacks through pointers; those are C trampolines in the shim, which call
//! these directly: with indirect branch tracking an indirect target needs a landing pad.

use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::device::{Device, MYMAP, MYMAP_FAULT, Way};
use crate::errno::Errno;
use crate::shim::{self, PAGE_SIZE, RawPage, Vma};
use crate::uapi::{self, Info};
use crate::{mapping, page, transfer};

fn device(way: u32) -> &'static Device {
    Device::of(Way::from_number(way))
}

/// Both devices are registered. Until then open is refused, so that a load which fails halfway leaves no
/// open file behind. Relaxed: it announces no memory; the pages have their own ordering.
static READY: AtomicBool = AtomicBool::new(false);

/// Module load. The page first, the device after: once registered, a device may be mapped at once.
#[unsafe(no_mangle)]
pub extern "C" fn mymap_init() -> i32 {
    match load() {
        Ok(()) => {
            READY.store(true, Relaxed);
            shim::shim_log_loaded(MYMAP.pages() as u32, MYMAP_FAULT.pages() as u32);
            0
        }
        Err(code) => {
            give_back();
            code
        }
    }
}

/// Leaves nothing registered behind when it fails.
fn load() -> Result<(), i32> {
    for index in 0..MYMAP.pages() {
        MYMAP.page(index as u64).ok_or(Errno::Nxio.code())?.map_err(Errno::code)?;
    }
    registered(uapi::WAY_REMAP)?;
    registered(uapi::WAY_FAULT).inspect_err(|_| shim::shim_deregister(uapi::WAY_REMAP))
}

fn registered(way: u32) -> Result<(), i32> {
    match shim::shim_register(way) {
        0 => Ok(()),
        code => Err(code),
    }
}

/// Module unload: load, backwards.
#[unsafe(no_mangle)]
pub extern "C" fn mymap_exit() {
    shim::shim_deregister(uapi::WAY_FAULT);
    shim::shim_deregister(uapi::WAY_REMAP);
    give_back();
    let (allocated, freed) = page::totals();
    shim::shim_log_unloaded(allocated, freed, MYMAP.mappings() + MYMAP_FAULT.mappings());
}

fn give_back() {
    for device in [&MYMAP, &MYMAP_FAULT] {
        // SAFETY: neither device is registered. In exit, no file and so no mapping is left: each holds the
        // module, and the kernel runs exit only once nobody does. After a failed load there never was
        // one: READY is still false.
        unsafe { device.take_all() }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn mymap_open() -> i32 {
    if READY.load(Relaxed) { 0 } else { Errno::Nodev.code() }
}

/// # Safety
/// Called by the shim from mmap, with the VMA it was given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mymap_map(way: u32, vma: *mut Vma) -> i32 {
    // SAFETY: passed on.
    match unsafe { mapping::map(device(way), vma) } {
        Ok(()) => 0,
        Err(code) => code,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn mymap_vma_opened(way: u32) {
    device(way).mapping_added();
}

#[unsafe(no_mangle)]
pub extern "C" fn mymap_vma_closed(way: u32) {
    device(way).mapping_gone();
}

/// Stores the page, or returns an errno. The reference it comes with is that of the page table entry: the
/// kernel drops it when the entry goes.
#[unsafe(no_mangle)]
pub extern "C" fn mymap_fault(way: u32, index: u64, page: &mut *mut RawPage) -> i32 {
    match mapping::fault(device(way), index) {
        Ok(lent) => {
            // SAFETY: the device owns the page, so its count is not zero.
            *page = unsafe { shim::shim_page_get(lent.as_raw().as_ptr()) };
            0
        }
        Err(errno) => {
            *page = ptr::null_mut();
            errno.code()
        }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn mymap_read(way: u32, user: u64, len: usize, offset: u64) -> isize {
    bytes_or_errno(transfer::read(device(way), user, len, offset))
}

#[unsafe(no_mangle)]
pub extern "C" fn mymap_write(way: u32, user: u64, len: usize, offset: u64) -> isize {
    bytes_or_errno(transfer::write(device(way), user, len, offset))
}

fn bytes_or_errno(moved: Result<usize, Errno>) -> isize {
    match moved {
        Ok(bytes) => bytes as isize,
        Err(errno) => errno.code() as isize,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn mymap_size(way: u32) -> u64 {
    (device(way).pages() * PAGE_SIZE) as u64
}

#[unsafe(no_mangle)]
pub extern "C" fn mymap_ioctl(way: u32, request: u32, user: u64) -> i32 {
    if request != uapi::IOC_INFO {
        return Errno::Notty.code();
    }
    let info = device(way).info();
    // SAFETY: Info is plain numbers without padding, all initialised: no kernel byte leaks.
    match unsafe { shim::shim_copy_to_user(user, ptr::from_ref(&info).cast(), size_of::<Info>()) } {
        0 => 0,
        _ => Errno::Fault.code(),
    }
}
