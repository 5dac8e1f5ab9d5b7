//! The running Linux. System calls go through rustix, which returns errors as values and leaves errno
//! alone; the break goes through libc, because glibc keeps a copy of it (`__curbrk`) that a raw
//! system call would leave stale.

use super::{BreakOwner, Os};
use core::ffi::{CStr, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use rustix::mm::{self, Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags};
use rustix::process::Resource;

pub struct Linux {
    page: AtomicUsize,
    owns_break: AtomicBool,
}

impl Linux {
    pub const fn new() -> Self {
        Linux { page: AtomicUsize::new(0), owns_break: AtomicBool::new(cfg!(feature = "override")) }
    }

    /// Says that this allocator serves the process's malloc. Relaxed: the C front says it before its
    /// first request, and a thread that has not seen it yet merely plans for a shared break.
    pub fn claim_break(&self) {
        self.owns_break.store(true, Ordering::Relaxed);
    }
}

// SAFETY: ready memory is private anonymous memory that the kernel made for this call alone (the
// break's growth, a new mapping, a part of a reservation that the caller owns); fixed addresses are
// only asked for with NOREPLACE.
unsafe impl Os for Linux {
    #[inline]
    fn page(&self) -> usize {
        // Relaxed: every thread that finds 0 computes the same value.
        match self.page.load(Ordering::Relaxed) {
            0 => {
                // Not rustix::param::page_size: its first call may read files.
                // SAFETY: getauxval reads the vector the kernel left on the stack; no preconditions.
                let page = unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize;
                self.page.store(page, Ordering::Relaxed);
                page
            }
            page => page,
        }
    }

    fn address_limit(&self) -> usize {
        let limit = rustix::process::getrlimit(Resource::As);
        limit.current.map_or(usize::MAX, |bytes| bytes.try_into().unwrap_or(usize::MAX))
    }

    fn reach(&self) -> usize {
        // Of data too: private mappings count for it (Linux 4.7).
        let limits = [Resource::As, Resource::Data].map(|of| rustix::process::getrlimit(of).current);
        let limit = limits.into_iter().flatten().min();
        limit.map_or_else(memory_in_all, |bytes| bytes.try_into().unwrap_or(usize::MAX))
    }

    fn break_owner(&self) -> BreakOwner {
        if self.owns_break.load(Ordering::Relaxed) {
            BreakOwner::Ours
        } else if cfg!(target_env = "gnu") && self.single_threaded() {
            BreakOwner::Shared
        } else {
            // musl's sbrk refuses every growth, and its malloc moves the break from a copy of its own.
            BreakOwner::Foreign
        }
    }

    fn single_threaded(&self) -> bool {
        libc_glue::single_threaded()
    }

    fn current_break(&self) -> *mut u8 {
        keep_errno(|| libc_glue::sbrk(0)).filter(is_address).unwrap_or(null_mut())
    }

    fn grow_break(&self, by: usize) -> Option<*mut u8> {
        move_break(isize::try_from(by).ok()?)
    }

    unsafe fn shrink_break(&self, by: usize) -> bool {
        isize::try_from(by).is_ok_and(|by| move_break(-by).is_some())
    }

    unsafe fn settle_break(&self) {
        keep_errno(|| {
            // SAFETY: brk(0) only asks.
            let brk = unsafe { libc::syscall(libc::SYS_brk, 0) } as *mut u8;
            if is_address(&brk) {
                libc_glue::set_copy(brk);
            }
        });
    }

    fn reserve(&self, len: usize, name: &'static CStr) -> Option<*mut u8> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe {
            mm::mmap_anonymous(null_mut(), len, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE)
        };
        let at = at.ok()?;
        name_region(at, len, name);
        Some(at.cast())
    }

    fn reserve_at(&self, at: *mut u8, len: usize) -> bool {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        let done = map_exactly(at, len, ProtFlags::empty(), flags);
        if done {
            name_region(at.cast(), len, c"brkmap: reserved");
        }
        done
    }

    unsafe fn commit(&self, at: *mut u8, len: usize) -> bool {
        // SAFETY: the caller's reserved range becomes readable and writable, which nobody relied on not.
        unsafe { mm::mprotect(at.cast(), len, MprotectFlags::READ | MprotectFlags::WRITE).is_ok() }
    }

    unsafe fn uncommit(&self, at: *mut u8, len: usize) -> bool {
        // SAFETY: the caller needs nothing in the range. Its pages go first: unreadable ones would stay.
        unsafe { self.purge(at, len) && mm::mprotect(at.cast(), len, MprotectFlags::empty()).is_ok() }
    }

    unsafe fn show_zeros(&self, at: *mut u8, len: usize) -> bool {
        // SAFETY: as for commit.
        unsafe { mm::mprotect(at.cast(), len, MprotectFlags::READ).is_ok() }
    }

    unsafe fn purge(&self, at: *mut u8, len: usize) -> bool {
        // SAFETY: the caller needs nothing in the range; private anonymous memory reads as zero after it.
        unsafe { mm::madvise(at.cast(), len, Advice::LinuxDontNeed).is_ok() }
    }

    unsafe fn advise_huge(&self, at: *mut u8, len: usize) -> bool {
        // SAFETY: the advice leaves the contents as they are.
        unsafe { mm::madvise(at.cast(), len, Advice::LinuxHugepage).is_ok() }
    }

    fn map(&self, len: usize) -> Option<*mut u8> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe { mm::mmap_anonymous(null_mut(), len, protection, MapFlags::PRIVATE) };
        at.ok().map(|at| at.cast())
    }

    fn map_at(&self, at: *mut u8, len: usize) -> bool {
        map_exactly(at, len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    }

    unsafe fn unmap(&self, at: *mut u8, len: usize) -> bool {
        // SAFETY: the caller owns the range and is done with it.
        unsafe { mm::munmap(at.cast(), len).is_ok() }
    }

    unsafe fn remap(&self, at: *mut u8, old: usize, new: usize) -> Option<*mut u8> {
        // SAFETY: the caller owns the mapping and follows it to the address returned.
        let moved = unsafe { mm::mremap(at.cast(), old, new, MremapFlags::MAYMOVE) };
        moved.ok().map(|at| at.cast())
    }
}

/// Moves the break by exactly `by`: the break as it was. libc compares what the kernel answers only with
/// what was asked for, so it takes two refusals for success: an error instead of an address (a seccomp
/// filter), and the old break where that is the higher one.
fn move_break(by: isize) -> Option<*mut u8> {
    keep_errno(|| {
        let before = libc_glue::sbrk(by).filter(is_address)?;
        // libc's copy, which is what the kernel answered: no system call.
        let Some(after) = libc_glue::sbrk(0).filter(is_address) else {
            libc_glue::set_copy(before);
            return None;
        };
        // Higher than asked for: somebody else has moved it since.
        let wanted = before.addr().checked_add_signed(by)?;
        (after.addr() == wanted || by > 0 && after.addr() > wanted).then_some(before)
    })
}

/// Where brk is refused by a seccomp filter, libc takes the error for the break: an address of the
/// upper half, or null.
fn is_address(brk: &*mut u8) -> bool {
    (1..isize::MAX as usize).contains(&brk.addr())
}

/// Maps at exactly `at` or not at all. Kernels before 4.17 take MAP_FIXED_NOREPLACE for a hint.
fn map_exactly(at: *mut u8, len: usize, protection: ProtFlags, flags: MapFlags) -> bool {
    // SAFETY: NOREPLACE never replaces a mapping.
    match unsafe { mm::mmap_anonymous(at.cast(), len, protection, flags | MapFlags::FIXED_NOREPLACE) } {
        Ok(got) if got == at.cast() => true,
        Ok(elsewhere) => {
            // SAFETY: the mapping was just made, and nobody knows of it.
            let _ = unsafe { mm::munmap(elsewhere, len) };
            false
        }
        Err(_) => false,
    }
}

/// Bytes of memory and swap. A longer mapping is refused (proc(5), overcommit_memory 0 and 2), or would be
/// made (1) if there are addresses for it, of which what this allocator has is a small part.
fn memory_in_all() -> usize {
    let system = rustix::system::sysinfo();
    let units = system.totalram.saturating_add(system.totalswap);
    usize::try_from(units).unwrap_or(usize::MAX).saturating_mul(system.mem_unit as usize)
}

/// Shows the region by name in /proc/self/maps, on kernels that can (CONFIG_ANON_VMA_NAME).
fn name_region(at: *mut c_void, len: usize, name: &'static CStr) {
    const PR_SET_VMA: libc::c_int = 0x53564d41;
    const PR_SET_VMA_ANON_NAME: libc::c_ulong = 0;
    keep_errno(|| {
        // SAFETY: names a range of our own; the kernel copies the string.
        unsafe {
            libc::prctl(
                PR_SET_VMA,
                PR_SET_VMA_ANON_NAME,
                at as libc::c_ulong,
                len as libc::c_ulong,
                name.as_ptr(),
            )
        }
    });
}

/// Runs a libc call and puts errno back to what it was.
pub fn keep_errno<T>(call: impl FnOnce() -> T) -> T {
    // SAFETY: the location is this thread's own errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    let result = call();
    // SAFETY: as above.
    unsafe { *errno = before };
    result
}

/// Says why a call of the C front failed.
pub fn set_errno(errno: core::ffi::c_int) {
    // SAFETY: the location is this thread's own errno.
    unsafe { *libc::__errno_location() = errno };
}

/// The value of an environment variable, unless the program runs with raised privileges (AT_SECURE).
pub fn environment(name: &[u8]) -> Option<&'static [u8]> {
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    // SAFETY: getauxval has no preconditions.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return None;
    }
    // SAFETY: libc's variable; null until libc has started.
    let mut entry = unsafe { environ };
    if entry.is_null() {
        return None;
    }
    loop {
        // SAFETY: the array ends with a null pointer, and the loop stops there.
        let text = unsafe { *entry };
        if text.is_null() {
            return None;
        }
        // SAFETY: entries are NUL-terminated strings that live as long as the process.
        let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
        if bytes.len() > name.len() && bytes.starts_with(name) && bytes[name.len()] == b'=' {
            return Some(&bytes[name.len() + 1..]);
        }
        // SAFETY: not yet the terminator.
        entry = unsafe { entry.add(1) };
    }
}

#[cfg(target_env = "gnu")]
mod libc_glue {
    use core::ffi::{c_char, c_void};

    unsafe extern "C" {
        /// glibc's `sbrk` under the name that is its own even where `sbrk` is interposed (by us).
        fn __sbrk(increment: isize) -> *mut c_void;
        /// glibc's copy of the break, exported for its own `sbrk`.
        static mut __curbrk: *mut c_void;
    }

    /// Puts libc's copy of the break right, where it took an error for it: no `sbrk` leads back from there.
    pub fn set_copy(brk: *mut u8) {
        // SAFETY: libc's own variable, set to where the break is by the one that may move it now.
        unsafe { __curbrk = brk.cast() };
    }

    pub fn sbrk(increment: isize) -> Option<*mut u8> {
        // SAFETY: moving the break is the caller's right: it owns it, or is the only thread.
        let before = unsafe { __sbrk(increment) };
        (before as isize != -1).then_some(before.cast())
    }

    /// glibc 2.32's `__libc_single_threaded`; where there is none, "maybe not".
    pub fn single_threaded() -> bool {
        // SAFETY: the name is a C string; dlsym allocates only to describe a failure, and then in
        // libc's own malloc: this is asked only where that is not ours.
        let flag = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__libc_single_threaded".as_ptr()) };
        // SAFETY: glibc's symbol is one char, written while there is but one thread to read it, or
        // from one to zero by the thread that starts the second.
        !flag.is_null() && unsafe { *flag.cast::<c_char>() } != 0
    }
}

#[cfg(not(target_env = "gnu"))]
mod libc_glue {
    /// The raw system call: musl keeps no copy of the break for `sbrk`, whose growth it refuses.
    pub fn sbrk(increment: isize) -> Option<*mut u8> {
        // SAFETY: brk(0) only asks.
        let before = unsafe { libc::syscall(libc::SYS_brk, 0) } as usize;
        if increment == 0 {
            return Some(before as *mut u8);
        }
        let wanted = before.checked_add_signed(increment)?;
        // SAFETY: the caller owns the break.
        let after = unsafe { libc::syscall(libc::SYS_brk, wanted) } as usize;
        (after == wanted).then_some(before as *mut u8)
    }

    /// musl keeps none.
    pub fn set_copy(_brk: *mut u8) {}

    pub fn single_threaded() -> bool {
        false
    }
}
