//! The running Linux. System calls go through rustix, which returns errors as values and leaves errno
//! alone; the break has a way of its own (`program_break`).
#![allow(unsafe_code)]

use super::errno::keep_errno;
use super::probes;
use super::program_break::ProgramBreak;
use super::{BreakOwner, Os};
use core::ffi::{CStr, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};
use rustix::io::Errno;
use rustix::mm::{self, Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags};
use rustix::process::Resource;

pub struct Linux {
    page: AtomicUsize,
    brk: ProgramBreak,
}

impl Linux {
    pub const fn new() -> Self {
        Linux { page: AtomicUsize::new(0), brk: ProgramBreak::new() }
    }

    /// Says that this allocator serves the process's malloc.
    pub fn claim_break(&self) {
        self.brk.claim();
    }
}

// SAFETY: ready memory is private anonymous memory that the kernel made for this call alone (the
// break's growth, a new mapping, a part of a reservation that the caller owns); no address is forced.
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
        self.brk.owner()
    }

    fn have_all_threads_see(&self) {
        const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
        keep_errno(|| {
            // SAFETY: a barrier changes nothing.
            unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0) }
        });
    }

    fn micros(&self) -> u64 {
        nanos(libc::CLOCK_MONOTONIC) / 1000
    }

    fn tell_sample(&self, block: *mut u8, bytes: usize, stands_for: usize) {
        probes::alloc(block, bytes, stands_for);
    }

    fn tell_free(&self, block: *mut u8) {
        probes::free(block);
    }

    fn nanos_since_1970(&self) -> u64 {
        nanos(libc::CLOCK_REALTIME)
    }

    #[inline]
    fn stack(&self, into: &mut [usize]) -> usize {
        super::stack::walk(into)
    }

    fn single_threaded(&self) -> bool {
        libc_glue::single_threaded()
    }

    fn thread(&self) -> u64 {
        // With the number of its process: another one may share this memory, and call from there.
        (raw(rustix::process::getpid()) as u64) << 32 | raw(rustix::thread::gettid()) as u64
    }

    fn has_ended(&self, thread: u64) -> bool {
        keep_errno(|| {
            // SAFETY: signal 0 is none: the kernel only looks for the thread.
            let found = unsafe { libc::syscall(libc::SYS_tgkill, thread >> 32, thread as u32, 0) };
            // SAFETY: the location is this thread's own errno.
            found != 0 && unsafe { *libc::__errno_location() } == libc::ESRCH
        })
    }

    fn current_break(&self) -> usize {
        self.brk.current()
    }

    fn grow_break(&self, by: usize) -> Option<*mut u8> {
        probes::syscall(c"brk: the arena grows", by);
        self.brk.shift(isize::try_from(by).ok()?).map(core::ptr::with_exposed_provenance_mut)
    }

    unsafe fn shrink_break(&self, by: usize) -> bool {
        probes::syscall(c"brk: the free end goes back", by);
        isize::try_from(by).is_ok_and(|by| self.brk.shift(-by).is_some())
    }

    unsafe fn reread_break(&self) {
        self.brk.reread();
    }

    fn reserve(&self, len: usize, name: &'static CStr) -> Option<*mut u8> {
        probes::syscall(c"mmap: addresses for a table", len);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe {
            mm::mmap_anonymous(null_mut(), len, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE)
        };
        let at = at.ok()?;
        name_region(at, len, name);
        Some(at.cast())
    }

    unsafe fn commit(&self, at: *mut u8, len: usize) -> bool {
        probes::syscall(c"mprotect: a table grows", len);
        // SAFETY: the caller's reserved range becomes readable and writable, which nobody relied on not.
        unsafe { mm::mprotect(at.cast(), len, MprotectFlags::READ | MprotectFlags::WRITE).is_ok() }
    }

    unsafe fn purge(&self, at: *mut u8, len: usize) -> bool {
        probes::syscall(c"madvise: free pages go back", len);
        // SAFETY: the caller needs nothing in the range; private anonymous memory reads as zero after it.
        match unsafe { mm::madvise(at.cast(), len, Advice::LinuxDontNeed) } {
            // What is locked needs a word of its own (Linux 5.18, madvise(2)).
            Err(Errno::INVAL) => keep_errno(|| {
                const MADV_DONTNEED_LOCKED: libc::c_int = 24;
                // SAFETY: the range is the caller's, and nothing in it is needed.
                unsafe { libc::madvise(at.cast(), len, MADV_DONTNEED_LOCKED) == 0 }
            }),
            done => done.is_ok(),
        }
    }

    unsafe fn advise_huge(&self, at: *mut u8, len: usize) -> bool {
        probes::syscall(c"madvise: huge pages for a large block", len);
        // SAFETY: the advice leaves the contents as they are.
        unsafe { mm::madvise(at.cast(), len, Advice::LinuxHugepage).is_ok() }
    }

    fn map(&self, len: usize) -> Option<*mut u8> {
        probes::syscall(c"mmap: a large block, a heap or a table", len);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe { mm::mmap_anonymous(null_mut(), len, protection, MapFlags::PRIVATE) };
        at.ok().map(|at| at.cast())
    }

    fn map_near(&self, hint: usize, len: usize) -> Option<*mut u8> {
        probes::syscall(c"mmap: a region of the arena", len);
        let (hint, protection) =
            (core::ptr::without_provenance_mut(hint), ProtFlags::READ | ProtFlags::WRITE);
        // SAFETY: without MAP_FIXED the hint replaces nothing.
        let at = unsafe { mm::mmap_anonymous(hint, len, protection, MapFlags::PRIVATE) };
        at.ok().map(|at| at.cast())
    }

    unsafe fn unmap(&self, at: *mut u8, len: usize) -> bool {
        probes::syscall(c"munmap: a large block or a region goes back", len);
        // SAFETY: the caller owns the range and is done with it.
        unsafe { mm::munmap(at.cast(), len).is_ok() }
    }

    unsafe fn make_plain(&self, at: *mut u8, len: usize) -> bool {
        probes::syscall(c"msync, mprotect, madvise: a large block is kept", len);
        let at = at.cast();
        // SAFETY: the caller owns the range and needs nothing in it. Where the kernel has nothing to change
        // each of these is a look at the mapping.
        unsafe {
            // Says EBUSY of what is locked, and does nothing else to anonymous memory (msync(2)).
            mm::msync(at, len, mm::MsyncFlags::INVALIDATE).is_ok()
                && mm::mprotect(at, len, MprotectFlags::READ | MprotectFlags::WRITE).is_ok()
                && mm::madvise(at, len, Advice::LinuxDoFork).is_ok()
                // Refused by kernels that have no MADV_WIPEONFORK either (before 4.14).
                && matches!(mm::madvise(at, len, Advice::LinuxKeepOnFork), Ok(()) | Err(Errno::INVAL))
        }
    }

    unsafe fn remap(&self, at: *mut u8, old: usize, new: usize) -> Option<*mut u8> {
        probes::syscall(c"mremap: a large block changes its size", new);
        // SAFETY: the caller owns the mapping and follows it to the address returned.
        let moved = unsafe { mm::mremap(at.cast(), old, new, MremapFlags::MAYMOVE) };
        moved.ok().map(|at| at.cast())
    }
}

/// Bytes of memory and swap. A longer mapping is refused (proc(5), overcommit_memory 0 and 2), or would be
/// made (1) if there are addresses for it, of which what this allocator has is a small part.
fn memory_in_all() -> usize {
    let system = rustix::system::sysinfo();
    let units = system.totalram.saturating_add(system.totalswap);
    usize::try_from(units).unwrap_or(usize::MAX).saturating_mul(system.mem_unit as usize)
}

/// Of a clock that every kernel has.
fn nanos(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable.
    unsafe { libc::clock_gettime(clock, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn raw(number: rustix::process::Pid) -> u32 {
    number.as_raw_nonzero().get() as u32
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

/// A page of its own that a fork's child finds zeroed: not one that shares the parent's memory (vfork). None
/// where the kernel is older than Linux 4.14, or an emulator does not do it.
pub fn page_wiped_by_fork() -> Option<*mut u8> {
    let len = Linux::new().page();
    // SAFETY: a new mapping at an address of the kernel's choice.
    let at = unsafe {
        mm::mmap_anonymous(null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE).ok()?
    };
    // SAFETY: the advice changes what a child sees, of a mapping that nobody knows of.
    if unsafe { mm::madvise(at, len, Advice::LinuxWipeOnFork) }.is_err() {
        // SAFETY: mapped above, and nobody knows of it.
        _ = unsafe { mm::munmap(at, len) };
        return None;
    }
    Some(at.cast())
}

#[cfg(target_env = "gnu")]
mod libc_glue {
    use core::ffi::c_char;

    /// glibc 2.32's `__libc_single_threaded`; where there is none, "maybe not".
    pub fn single_threaded() -> bool {
        let flag = single_threaded_flag();
        // SAFETY: glibc's symbol is one char, written while there is but one thread to read it, or
        // from one to zero by the thread that starts the second.
        !flag.is_null() && unsafe { *flag } != 0
    }

    /// Where the flag is: a weak reference, which the loader (or the linker, of a static program) has
    /// resolved before the program began, to null where there is none. To ask the loader by name would take
    /// its lock, which a thread may hold that waits for one of ours: a constructor under dlopen that
    /// allocates.
    #[cfg(target_arch = "x86_64")]
    fn single_threaded_flag() -> *const c_char {
        let flag;
        // SAFETY: reads this program's own global offset table.
        unsafe {
            core::arch::asm!(
                ".weak __libc_single_threaded",
                "mov {flag}, qword ptr [rip + __libc_single_threaded@GOTPCREL]",
                flag = out(reg) flag,
                options(nostack, pure, readonly, preserves_flags),
            );
        }
        flag
    }

    #[cfg(target_arch = "aarch64")]
    fn single_threaded_flag() -> *const c_char {
        let flag;
        // SAFETY: reads this program's own global offset table.
        unsafe {
            core::arch::asm!(
                ".weak __libc_single_threaded",
                "adrp {flag}, :got:__libc_single_threaded",
                "ldr {flag}, [{flag}, #:got_lo12:__libc_single_threaded]",
                flag = out(reg) flag,
                options(nostack, pure, readonly, preserves_flags),
            );
        }
        flag
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn single_threaded_flag() -> *const c_char {
        core::ptr::null()
    }
}

#[cfg(not(target_env = "gnu"))]
mod libc_glue {
    pub fn single_threaded() -> bool {
        false
    }
}
