//! The process's break, as brk(2) and as libc's copy of it.
//!
//! glibc's `sbrk` counts from a copy of its own (`__curbrk`), which a raw system call leaves stale: from a
//! stale copy it would lower the break. So there are two ways, and no third:
//!
//! - Where this allocator is the process's malloc it moves the break by the raw system call, and libc's
//!   copy is set to the highest address there is. From there `sbrk` refuses any increment: a second malloc
//!   of the process (libc's own, found by dlsym or RTLD_DEEPBIND) takes mappings and never moves the break,
//!   with whatever threads. The program's own calls of `sbrk` and `brk` come to our functions of that name.
//! - Beside libc's malloc it moves the break by libc's `sbrk`.
#![allow(unsafe_code)]

use super::BreakOwner;
use super::errno::keep_errno;
use core::sync::atomic::{AtomicBool, Ordering};

pub struct ProgramBreak {
    ours: AtomicBool,
}

impl ProgramBreak {
    pub const fn new() -> Self {
        ProgramBreak { ours: AtomicBool::new(false) }
    }

    /// Says that this allocator serves the process's malloc: libc's `sbrk` is barred. Relaxed: the C front
    /// says it before its first request, when the process has one thread.
    pub fn claim(&self) {
        if !self.ours.swap(true, Ordering::Relaxed) {
            libc_copy::set(usize::MAX);
        }
    }

    /// Whether it is moved by the system call, else by libc.
    pub fn is_ours(&self) -> bool {
        // Relaxed: see `claim`.
        self.ours.load(Ordering::Relaxed)
    }

    pub fn owner(&self) -> BreakOwner {
        if self.is_ours() {
            BreakOwner::Ours
        } else if libc_copy::IS_KEPT && super::executable::contains(self as *const Self as usize) {
            BreakOwner::Shared
        } else {
            // A library would leave what it gained there when it is unloaded. musl's sbrk refuses every
            // growth, and its malloc moves the break from a copy of its own.
            BreakOwner::Foreign
        }
    }

    /// Where the break is; 0 where nobody says, and where libc's copy is not what the kernel says: somebody
    /// made the system call, and from the copy libc's `sbrk` would move the break into what is theirs.
    pub fn current(&self) -> usize {
        let brk = raw(0).filter(is_address);
        let known = self.is_ours() || keep_errno(|| libc_copy::sbrk(0)) == brk;
        brk.filter(|_| known).unwrap_or(0)
    }

    /// Moves the break by exactly `by`, by the system call: the break as it was, `before`.
    pub fn move_from(&self, before: usize, by: isize) -> Option<usize> {
        let wanted = before.checked_add_signed(by)?;
        (raw(wanted) == Some(wanted)).then_some(before)
    }

    /// The same by libc: the break as it was.
    pub fn move_by_libc(&self, by: isize) -> Option<usize> {
        keep_errno(|| shift_by_libc(by))
    }

    /// In a fork's child: libc's copy is set to where the kernel has the break.
    pub fn reread(&self) {
        if self.is_ours() {
            return;
        }
        if let Some(brk) = raw(0).filter(is_address) {
            libc_copy::set(brk);
        }
    }
}

/// brk(2): where the break is then. It only asks where `to` is none that can be had.
fn raw(to: usize) -> Option<usize> {
    // SAFETY: the caller owns what is above `to`.
    keep_errno(|| usize::try_from(unsafe { libc::syscall(libc::SYS_brk, to) }).ok())
}

/// By libc's sbrk, which compares what the kernel answers only with what was asked for, so it takes two
/// refusals for success: an error instead of an address (a seccomp filter), and the old break where that is
/// the higher one.
fn shift_by_libc(by: isize) -> Option<usize> {
    let before = libc_copy::sbrk(by).filter(is_address)?;
    // libc's copy, which is what the kernel answered: no system call.
    let Some(after) = libc_copy::sbrk(0).filter(is_address) else {
        libc_copy::set(before);
        return None;
    };
    // Higher than asked for: somebody else has moved it since.
    let wanted = before.checked_add_signed(by)?;
    (after == wanted || by > 0 && after > wanted).then_some(before)
}

/// Where brk is refused by a seccomp filter, libc takes the error for the break: an address of the upper
/// half, or null.
fn is_address(brk: &usize) -> bool {
    (1..isize::MAX as usize).contains(brk)
}

#[cfg(target_env = "gnu")]
mod libc_copy {
    use core::ffi::c_void;

    pub const IS_KEPT: bool = true;

    unsafe extern "C" {
        /// glibc's `sbrk` under the name that is its own even where `sbrk` is interposed (by us).
        fn __sbrk(increment: isize) -> *mut c_void;
        /// glibc's copy of the break, exported for its own `sbrk`.
        static mut __curbrk: *mut c_void;
    }

    pub fn set(brk: usize) {
        // SAFETY: libc's own variable, set by the one that may move the break now.
        unsafe { __curbrk = core::ptr::without_provenance_mut(brk) };
    }

    pub fn sbrk(increment: isize) -> Option<usize> {
        // SAFETY: moving the break is the caller's right: it is the only thread.
        let before = unsafe { __sbrk(increment) };
        (before as isize != -1).then_some(before.addr())
    }
}

#[cfg(not(target_env = "gnu"))]
mod libc_copy {
    pub const IS_KEPT: bool = false;

    pub fn set(_brk: usize) {}

    pub fn sbrk(_increment: isize) -> Option<usize> {
        None
    }
}
