// SPDX-License-Identifier: GPL-2.0
//! Error numbers as the kernel returns them: negative, and only the ones this module gives.

/// A reason to refuse. The numbers are Linux's ABI and the same on every kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Errno {
    Perm = 1,
    Nxio = 6,
    Nomem = 12,
    Fault = 14,
    Nodev = 19,
    Inval = 22,
    Notty = 25,
    Nospc = 28,
}

impl Errno {
    /// What a kernel function returns for this error.
    pub fn code(self) -> i32 {
        -(self as i32)
    }
}
