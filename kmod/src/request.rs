// SPDX-License-Identifier: GPL-2.0
//! What a process asked mmap for, and whether it may have it. Pure: `vm/test` runs its tests on the host.

use crate::errno::Errno;

/// `struct mymap_request` of the shim: one VMA, told in numbers that mean the same on every kernel.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Request {
    pub start: u64,
    /// First page of the device that is wanted; the process chose it freely.
    pub first: u64,
    pub pages: u64,
    pub shared: bool,
    pub writable: bool,
    pub executable: bool,
}

/// A request that passed every check: `first + pages` lies inside the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Granted {
    pub start: u64,
    pub first: u64,
    pub pages: u64,
    /// A private mapping must stay read-only: mprotect would else turn it into copy-on-write.
    pub may_write: bool,
}

impl Request {
    /// Checks the request against a device of `device_pages`.
    ///
    /// The errors: a range outside the object is ENXIO (POSIX, and the kernel's own `vm_map_pages`);
    /// PROT_EXEC is EPERM, which is also what a noexec mount of /dev answers before we are asked;
    /// a writable private mapping is EINVAL, as the combination makes no sense here.
    pub fn check(&self, device_pages: usize) -> Result<Granted, Errno> {
        if self.executable {
            return Err(Errno::Perm);
        }
        if self.writable && !self.shared {
            return Err(Errno::Inval);
        }
        let end = self.first.checked_add(self.pages).ok_or(Errno::Nxio)?;
        if self.pages == 0 || end > device_pages as u64 {
            return Err(Errno::Nxio);
        }
        Ok(Granted { start: self.start, first: self.first, pages: self.pages, may_write: self.shared })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(first: u64, pages: u64) -> Request {
        Request { start: 0x1000, first, pages, shared: true, writable: true, executable: false }
    }

    #[test]
    fn every_range_inside_the_device_is_granted_and_no_other() {
        for device in 1..=17usize {
            for first in 0..20 {
                for pages in 0..20 {
                    let inside = pages > 0 && first + pages <= device as u64;
                    let answer = shared(first, pages).check(device);
                    assert_eq!(answer.is_ok(), inside, "{first}+{pages} of {device}");
                    if !inside {
                        assert_eq!(answer, Err(Errno::Nxio));
                    }
                }
            }
        }
    }

    #[test]
    fn an_offset_that_wraps_around_is_outside() {
        assert_eq!(shared(u64::MAX, 1).check(16), Err(Errno::Nxio));
        assert_eq!(shared(u64::MAX - 1, 16).check(16), Err(Errno::Nxio));
        assert_eq!(shared(1, u64::MAX).check(16), Err(Errno::Nxio));
    }

    #[test]
    fn a_private_mapping_is_granted_read_only_and_for_ever() {
        let private = Request { shared: false, writable: false, ..shared(0, 1) };
        assert!(!private.check(1).unwrap().may_write);
        assert_eq!(Request { writable: true, ..private }.check(1), Err(Errno::Inval));
        assert!(shared(0, 1).check(1).unwrap().may_write);
    }

    #[test]
    fn executable_is_refused_whatever_else_is_asked() {
        for sharing in [false, true] {
            for writable in [false, true] {
                let request = Request { shared: sharing, writable, executable: true, ..shared(0, 1) };
                assert_eq!(request.check(1), Err(Errno::Perm));
            }
        }
    }
}
