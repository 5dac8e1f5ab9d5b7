// SPDX-License-Identifier: GPL-2.0
//! Everything that must be refused, with the errno that mymap_uapi.h promises.

use libc::{MAP_PRIVATE, MAP_SHARED, PROT_EXEC, PROT_READ, PROT_WRITE};

use super::Device;
use crate::process::{self, Ended};
use crate::report::{Outcome, equal, refused};
use crate::sys::{self, FAULT, Map, PAGE, REMAP};
use crate::uapi::FAULT_PAGES;

const READ_WRITE: i32 = PROT_READ | PROT_WRITE;

pub fn length(device: Device) -> Outcome {
    let fd = sys::open(device.path, libc::O_RDWR)?;
    for pages in [device.pages + 1, device.pages * 2, device.pages + 4096] {
        let got = Map::new(&fd, pages * PAGE, READ_WRITE, MAP_SHARED, 0);
        refused(&format!("{pages} pages"), got, libc::ENXIO)?;
    }
    refused(
        "one byte too long",
        Map::new(&fd, device.pages * PAGE + 1, PROT_READ, MAP_SHARED, 0),
        libc::ENXIO,
    )?;
    refused("length zero", Map::new(&fd, 0, PROT_READ, MAP_SHARED, 0), libc::EINVAL)?;
    // Not a refusal: the kernel rounds up to the page.
    Map::new(&fd, 10, READ_WRITE, MAP_SHARED, 0)?;
    Ok(())
}

pub fn offset(device: Device) -> Outcome {
    let fd = sys::open(device.path, libc::O_RDWR)?;
    let end = device.pages * PAGE;
    refused("offset at the end", Map::new(&fd, PAGE, READ_WRITE, MAP_SHARED, end), libc::ENXIO)?;
    refused("offset far beyond", Map::new(&fd, PAGE, READ_WRITE, MAP_SHARED, 1 << 40), libc::ENXIO)?;
    refused(
        "last page and one more",
        Map::new(&fd, 2 * PAGE, READ_WRITE, MAP_SHARED, end - PAGE),
        libc::ENXIO,
    )?;
    refused("offset within a page", Map::new(&fd, PAGE, READ_WRITE, MAP_SHARED, 1), libc::EINVAL)?;
    // The page offset plus the length wraps around: refused by the kernel or by us, but refused.
    let last = usize::MAX & !(PAGE - 1);
    match Map::new(&fd, 2 * PAGE, READ_WRITE, MAP_SHARED, last) {
        Err(libc::EOVERFLOW | libc::ENXIO | libc::EINVAL) => Ok(()),
        Err(errno) => Err(format!("a wrapping offset: {}", sys::name(errno)).into()),
        Ok(_) => Err("a wrapping offset was mapped".to_string().into()),
    }
}

pub fn exec(device: Device) -> Outcome {
    let fd = sys::open(device.path, libc::O_RDWR)?;
    for flags in [MAP_SHARED, MAP_PRIVATE] {
        let got = Map::new(&fd, PAGE, PROT_READ | PROT_EXEC, flags, 0);
        refused("PROT_EXEC", got, libc::EPERM)?;
    }
    let map = Map::shared(&fd, device.pages)?;
    refused("mprotect(PROT_EXEC)", map.protect(PROT_READ | PROT_EXEC), libc::EACCES)
}

pub fn private_writable(device: Device) -> Outcome {
    let fd = sys::open(device.path, libc::O_RDWR)?;
    refused("MAP_PRIVATE, PROT_WRITE", Map::new(&fd, PAGE, READ_WRITE, MAP_PRIVATE, 0), libc::EINVAL)
}

pub fn private_read_only(device: Device) -> Outcome {
    let fd = sys::open(device.path, libc::O_RDWR)?;
    let map = Map::new(&fd, device.pages * PAGE, PROT_READ, MAP_PRIVATE, 0)?;
    equal("its bytes", map.first_bytes(0), super::bytes::wanted(0))?;
    refused("mprotect(PROT_WRITE)", map.protect(READ_WRITE), libc::EACCES)
}

/// The kernel's own rule; our mmap must not undo it.
pub fn read_only_file(device: Device) -> Outcome {
    let fd = sys::open(device.path, libc::O_RDONLY)?;
    refused("a writable mapping", Map::shared(&fd, device.pages), libc::EACCES)?;
    let map = Map::new(&fd, device.pages * PAGE, PROT_READ, MAP_SHARED, 0)?;
    equal("its bytes", map.first_bytes(0), super::bytes::wanted(0))?;
    refused("mprotect(PROT_WRITE)", map.protect(READ_WRITE), libc::EACCES)?;
    equal("a write to the device stays out", killed_by(|| map.set(0, 99)), Ended::Killed(libc::SIGSEGV))
}

pub fn ioctl(device: Device) -> Outcome {
    let fd = sys::open(device.path, libc::O_RDWR)?;
    for request in [0, 1, crate::uapi::IOC_INFO + 1, crate::uapi::IOC_INFO ^ 1 << 30] {
        refused(&format!("request {request:#x}"), sys::ioctl(&fd, request, 0), libc::ENOTTY)?;
    }
    refused("no place for the answer", sys::ioctl(&fd, crate::uapi::IOC_INFO, PAGE), libc::EFAULT)
}

pub fn bad_address(device: Device) -> Outcome {
    let fd = sys::open(device.path, libc::O_RDWR)?;
    refused("read", sys::transfer_nowhere(&fd, false), libc::EFAULT)?;
    refused("write", sys::transfer_nowhere(&fd, true), libc::EFAULT)
}

pub fn remap_grows() -> Outcome {
    let mut map = Map::of_device(REMAP, 1)?;
    refused("mremap to two pages", map.resize(2 * PAGE), libc::EFAULT)
}

/// mremap does not ask the driver, so a mapping can become longer than the device; the fault handler
/// is asked for every page, and gives none past the end.
pub fn past_the_end() -> Outcome {
    let mut map = Map::of_device(FAULT, FAULT_PAGES)?;
    map.resize((FAULT_PAGES + 1) * PAGE)?;
    let last = FAULT_PAGES * PAGE - 1;
    equal("the last byte", killed_by(|| _ = map.get(last)), Ended::Exited(0))?;
    equal("a read past it", killed_by(|| _ = map.get(last + 1)), Ended::Killed(libc::SIGBUS))?;
    equal("a write past it", killed_by(|| map.set(last + 1, 1)), Ended::Killed(libc::SIGBUS))
}

fn killed_by(work: impl FnOnce()) -> Ended {
    process::run(|| {
        work();
        0
    })
}
