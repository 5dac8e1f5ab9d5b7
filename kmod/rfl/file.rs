// SPDX-License-Identifier: GPL-2.0
//! An open device, as the kernel crate's `MiscDevice` has it. What that trait lacks is in `shim`.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use kernel::fs::File;
use kernel::miscdevice::{MiscDevice, MiscDeviceRegistration};
use kernel::mm::virt::{VmaNew, VmaRef};
use kernel::prelude::*;
use kernel::uaccess::{UserPtr, UserSlice};

use crate::device::{Device, Way};
use crate::errno::Errno;
use crate::{mapping, shim, uapi};

/// Both devices are registered. Until then open is refused, so that a load which fails halfway leaves no
/// open file behind. Relaxed: it announces no memory; the pages have their own ordering.
pub static READY: AtomicBool = AtomicBool::new(false);

impl From<Errno> for Error {
    fn from(errno: Errno) -> Error {
        Error::from_errno(errno.code())
    }
}

/// One of the two devices, told at compile time: the callbacks need no pointer to find theirs.
pub(crate) struct Lender<const WAY: u32>;

impl<const WAY: u32> Lender<WAY> {
    pub fn device() -> &'static Device {
        Device::of(Way::from_number(WAY))
    }
}

#[vtable]
impl<const WAY: u32> MiscDevice for Lender<WAY> {
    /// A file knows nothing but its device.
    type Ptr = ();

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result {
        if READY.load(Relaxed) { Ok(()) } else { Err(ENODEV) }
    }

    fn mmap(_: (), _file: &File, vma: &VmaNew) -> Result {
        if WAY == uapi::WAY_FAULT {
            // The fault handler inserts pages, which a VMA has to be marked for before anybody sees it.
            vma.set_mixedmap();
        }
        shim::set_operations::<WAY>(vma);
        // SAFETY: a VmaNew is a VMA within its mmap call.
        unsafe { mapping::map(Self::device(), vma.as_ptr()) }.map_err(Error::from_errno)
    }

    fn ioctl(_: (), _file: &File, request: u32, argument: usize) -> Result<isize> {
        if request != uapi::IOC_INFO {
            return Err(ENOTTY);
        }
        let info = Self::device().info();
        UserSlice::new(UserPtr::from_addr(argument), size_of_val(&info)).writer().write(&info)?;
        Ok(0)
    }
}

/// A first touch of page `index`, at `address`: enters the page into the page table, with a reference of its own.
///
/// Another thread may have entered it meanwhile: that is EBUSY, and as good.
pub fn fault(device: &Device, vma: &VmaRef, address: usize, index: u64) -> Result {
    let page = shim::borrowed(mapping::fault(device, index)?);
    // Marked by mmap, and nothing takes the mark away.
    let vma = vma.as_mixedmap_vma().ok_or(EINVAL)?;
    match vma.vm_insert_page(address, &page) {
        Err(error) if error != EBUSY => Err(error),
        _ => Ok(()),
    }
}
