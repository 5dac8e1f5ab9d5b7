// SPDX-License-Identifier: GPL-2.0
//! mmap, and what follows from it: faults, and the coming and going of VMAs.

use crate::device::{Device, Way};
use crate::errno::Errno;
use crate::page::PageRef;
use crate::shim::{self, PAGE_SIZE, Vma};

/// mmap: check, limit, and for [`Way::Remap`] fill the page table now.
///
/// # Safety
/// `vma` is the one that the kernel passed to mmap, and is passed on from within that call.
pub unsafe fn map(device: &Device, vma: *mut Vma) -> Result<(), i32> {
    // SAFETY: vma is valid for this call.
    let request = unsafe { shim::shim_vma_request(vma) };
    let granted = request.check(device.pages()).map_err(Errno::code)?;
    // SAFETY: as above; in mmap the flags may still be changed.
    unsafe { shim::shim_vma_limit(vma, granted.may_write) };
    if device.way() == Way::Remap {
        for i in 0..granted.pages {
            let page = device.page(granted.first + i).ok_or(Errno::Nxio.code())?.map_err(Errno::code)?;
            let at = granted.start + i * PAGE_SIZE as u64;
            // SAFETY: the page was granted, so `at` lies inside the VMA; the frame is a page of ours that
            // lives until unload, which the VMA's file holds off.
            let failed = unsafe { shim::shim_vma_remap(vma, at, page.pfn(), PAGE_SIZE) };
            if failed != 0 {
                return Err(failed);
            }
        }
    }
    // Last: a refused mmap is never closed.
    device.mapping_added();
    Ok(())
}

/// A first touch: the page for the process's page table, or an errno.
///
/// Past the end is possible only where mremap made the mapping longer than the device.
pub fn fault(device: &Device, index: u64) -> Result<PageRef<'_>, Errno> {
    let page = device.page(index).ok_or(Errno::Nxio)??;
    device.fault_answered();
    Ok(page)
}
