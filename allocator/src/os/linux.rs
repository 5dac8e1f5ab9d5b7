//! The running Linux. System calls go through rustix, which returns errors as values and leaves errno
//! alone; the break has a way of its own (`program_break`).
#![allow(unsafe_code)]

use super::calls::{Call, Calls, Outcome};
use super::errno::keep_errno;
use super::log::{self, Made};
use super::numbers;
use super::probes;
use super::program_break::ProgramBreak;
use super::{BreakOwner, Os};
use crate::base::units::{div_up, round_down, round_up};
use crate::base::why::{Cause, Reason, Why};
use core::ffi::c_void;
use core::ptr::{null_mut, without_provenance_mut};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use rustix::io::Errno;
use rustix::mm::{self, Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags};
use rustix::process::Resource;
use rustix::thread::futex::{self, Timespec};

/// Pages that are asked about at once: 8 MiB of 4 KiB each, in bytes on the stack.
const PAGES_ASKED: usize = 2048;

pub struct Linux {
    page: AtomicUsize,
    brk: ProgramBreak,
    made: Calls,
}

impl Linux {
    pub const fn new() -> Self {
        Linux { page: AtomicUsize::new(0), brk: ProgramBreak::new(), made: Calls::new() }
    }

    /// Counts a call, and writes it to the log. What it gave, if it was not refused.
    fn note<T>(&self, made: Made, gave: Result<T, Errno>) -> Option<T> {
        let refused = gave.as_ref().err().copied();
        let outcome = if refused.is_none() { Outcome::Done } else { Outcome::Refused };
        self.made.note(made.call, made.why.reason, made.by, outcome);
        log::write(&made, refused);
        probes::syscall(made.call.c_name(), made.why.reason.c_name(), made.by);
        gave.ok()
    }

    /// The same of a call that gave a mapping of `len` bytes.
    fn note_mapping(&self, len: usize, why: Why, gave: Result<*mut c_void, Errno>) -> Option<*mut u8> {
        let at = gave.map_or(null_mut(), |at| at).cast();
        self.note(Made { call: Call::Mmap, at, len, by: len, why }, gave).map(|at| at.cast())
    }

    /// The same of advice.
    fn note_advice(&self, at: *mut u8, len: usize, why: Why, gave: Result<(), Errno>) -> bool {
        self.note(Made { call: Call::Madvise, at, len, by: len, why }, gave).is_some()
    }

    /// Moves the break by exactly `by`: the break as it was.
    fn shift_break(&self, by: isize, why: Why) -> Option<usize> {
        let moved = match self.brk.is_ours() {
            true => self.brk.move_from(Some(self.current_break()).filter(|&brk| brk != 0)?, by),
            false => self.brk.move_by_libc(by),
        };
        let (at, len) = (without_provenance_mut(moved.unwrap_or(0)), by.unsigned_abs());
        self.note(Made { call: Call::Brk, at, len, by: len, why }, moved.ok_or(Errno::NOMEM))
    }

    /// A page of its own that a fork's child finds zeroed: not one that shares the parent's memory (vfork).
    /// None where the kernel is older than Linux 4.14, or an emulator does not do it.
    pub fn page_wiped_by_fork(&self) -> Option<*mut u8> {
        let (len, why) = (self.page(), Reason::Fork.by(Cause::Process));
        let at = self.map(len, why)?;
        // SAFETY: the advice changes what a child sees, of a mapping that nobody knows of.
        let advised = unsafe { mm::madvise(at.cast(), len, Advice::LinuxWipeOnFork) };
        if !self.note_advice(at, len, why, advised) {
            // SAFETY: mapped above, and nobody knows of it.
            unsafe { self.unmap(at, len, why) };
            return None;
        }
        Some(at)
    }

    /// Says that this allocator serves the process's malloc.
    pub fn claim_break(&self) {
        self.brk.claim();
    }
}

// SAFETY: ready memory is private anonymous memory that the kernel made for this call alone (the
// break's growth, a new mapping, a part of a reservation that the caller owns); no address is forced.
unsafe impl Os for Linux {
    fn made(&self) -> &Calls {
        &self.made
    }

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

    fn millis(&self) -> usize {
        keep_errno(|| nanos(libc::CLOCK_MONOTONIC_COARSE) / 1_000_000) as usize
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
        (numbers::process() as u64) << 32 | numbers::thread() as u64
    }

    fn wait(&self, word: &AtomicU32, while_it_is: u32, millis: Option<u32>) {
        let timeout = millis.map(|millis| Timespec {
            tv_sec: (millis / 1000).into(),
            tv_nsec: (millis % 1000 * 1_000_000).into(),
        });
        _ = futex::wait(word, futex::Flags::PRIVATE, while_it_is, timeout.as_ref());
    }

    fn wake(&self, word: &AtomicU32) {
        _ = futex::wake(word, futex::Flags::PRIVATE, 1);
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
        let brk = self.brk.current();
        let (at, why) = (without_provenance_mut(brk), Reason::Look.by(Cause::Process));
        self.note(Made { call: Call::Brk, at, len: 0, by: 0, why }, Ok(()));
        brk
    }

    fn grow_break(&self, by: usize, why: Why) -> Option<*mut u8> {
        self.shift_break(isize::try_from(by).ok()?, why).map(core::ptr::with_exposed_provenance_mut)
    }

    unsafe fn shrink_break(&self, by: usize, why: Why) -> bool {
        isize::try_from(by).is_ok_and(|by| self.shift_break(-by, why).is_some())
    }

    unsafe fn reread_break(&self) {
        self.brk.reread();
    }

    unsafe fn purge(&self, at: *mut u8, len: usize, why: Why) -> bool {
        // SAFETY: the caller needs nothing in the range; private anonymous memory reads as zero after it.
        let purged = unsafe { mm::madvise(at.cast(), len, Advice::LinuxDontNeed) };
        if self.note_advice(at, len, why, purged) {
            return true;
        }
        // What is locked needs a word of its own (Linux 5.18, madvise(2)).
        purged == Err(Errno::INVAL) && self.note_advice(at, len, why, purge_locked(at, len))
    }

    unsafe fn advise_huge(&self, at: *mut u8, len: usize, why: Why) -> bool {
        // SAFETY: the advice leaves the contents as they are.
        let advised = unsafe { mm::madvise(at.cast(), len, Advice::LinuxHugepage) };
        self.note_advice(at, len, why, advised)
    }

    unsafe fn advise_small(&self, at: *mut u8, len: usize, why: Why) -> bool {
        // SAFETY: the advice leaves the contents as they are.
        let advised = unsafe { mm::madvise(at.cast(), len, Advice::LinuxNoHugepage) };
        self.note_advice(at, len, why, advised)
    }

    fn map(&self, len: usize, why: Why) -> Option<*mut u8> {
        self.map_near(0, len, why)
    }

    fn map_near(&self, hint: usize, len: usize, why: Why) -> Option<*mut u8> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: without MAP_FIXED the hint replaces nothing.
        let at =
            unsafe { mm::mmap_anonymous(without_provenance_mut(hint), len, protection, MapFlags::PRIVATE) };
        self.note_mapping(len, why, at)
    }

    unsafe fn unmap(&self, at: *mut u8, len: usize, why: Why) -> bool {
        // SAFETY: the caller owns the range and is done with it.
        let gone = unsafe { mm::munmap(at.cast(), len) };
        self.note(Made { call: Call::Munmap, at, len, by: len, why }, gone).is_some()
    }

    unsafe fn make_plain(&self, at: *mut u8, len: usize, why: Why) -> bool {
        let note =
            |call, gave: Result<(), Errno>| self.note(Made { call, at, len, by: len, why }, gave).is_some();
        let advise = |advice| {
            // SAFETY: the caller owns the range and needs nothing in it.
            let advised = unsafe { mm::madvise(at.cast(), len, advice) };
            note(Call::Madvise, advised) || advised == Err(Errno::INVAL)
        };
        let plain = MprotectFlags::READ | MprotectFlags::WRITE;
        // Where the kernel has nothing to change each of these is a look at the mapping. msync says EBUSY of
        // what is locked, and does nothing else to anonymous memory (msync(2)).
        // SAFETY: the caller owns the range and needs nothing in it.
        note(Call::Msync, unsafe { mm::msync(at.cast(), len, mm::MsyncFlags::INVALIDATE) })
            // SAFETY: as above.
            && note(Call::Mprotect, unsafe { mm::mprotect(at.cast(), len, plain) })
            && advise(Advice::LinuxDoFork)
            // EINVAL too: kernels that have no MADV_WIPEONFORK either (before 4.14).
            && advise(Advice::LinuxKeepOnFork)
    }

    fn resident(&self, at: *mut u8, len: usize) -> usize {
        let page = self.page();
        let (start, end) = (round_down(at.addr(), page), round_up(at.addr() + len, page).unwrap_or(0));
        let (mut from, mut count) = (start, 0);
        while from < end {
            let mut pages = [0u8; PAGES_ASKED];
            let bytes = (end - from).min(PAGES_ASKED * page);
            // SAFETY: the kernel fills a byte for each page, and touches none of them.
            let asked =
                keep_errno(|| unsafe { libc::syscall(libc::SYS_mincore, from, bytes, pages.as_mut_ptr()) });
            if asked == 0 {
                count += pages.iter().take(div_up(bytes, page)).filter(|&&page| page & 1 != 0).count();
            }
            from += bytes;
        }
        count * page
    }

    unsafe fn remap(&self, at: *mut u8, old: usize, new: usize, why: Why) -> Option<*mut u8> {
        // SAFETY: the caller owns the mapping and follows it to the address returned.
        let moved = unsafe { mm::mremap(at.cast(), old, new, MremapFlags::MAYMOVE) };
        let at = moved.map_or(at, |at| at.cast());
        self.note(Made { call: Call::Mremap, at, len: new, by: new.abs_diff(old), why }, moved)
            .map(|at| at.cast())
    }
}

/// madvise(2), MADV_DONTNEED_LOCKED, of a range that is the caller's, and nothing in it is needed. Whatever
/// the kernel says of it, it has said EINVAL before.
fn purge_locked(at: *mut u8, len: usize) -> Result<(), Errno> {
    const MADV_DONTNEED_LOCKED: libc::c_int = 24;
    // SAFETY: as the caller vouches.
    let done = keep_errno(|| unsafe { libc::madvise(at.cast(), len, MADV_DONTNEED_LOCKED) });
    if done == 0 { Ok(()) } else { Err(Errno::INVAL) }
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

#[cfg(target_env = "gnu")]
mod libc_glue {
    use crate::os::weak::weak;
    use core::ffi::c_char;

    /// glibc 2.32's `__libc_single_threaded`; where there is none, "maybe not".
    pub fn single_threaded() -> bool {
        let flag: *const c_char = weak!("__libc_single_threaded").cast();
        // SAFETY: glibc's symbol is one char, written while there is but one thread to read it, or
        // from one to zero by the thread that starts the second.
        !flag.is_null() && unsafe { *flag } != 0
    }
}

#[cfg(not(target_env = "gnu"))]
mod libc_glue {
    pub fn single_threaded() -> bool {
        false
    }
}
