//! What the allocator asks of the kernel and of libc, as one checked interface; and of the processor.
//!
//! Memory is in one of two states, and each call names its transition:
//!
//! ```text
//!   none ──map──► ready ──purge──► ready (reads as zero) ──unmap──► none
//!   break: grow_break turns none into ready, shrink_break back
//! ```
//!
//! Two systems implement it: the running Linux, and a simulated one for the tests (scripted
//! failures, and it runs under Miri).
#![allow(unsafe_code)]

use core::sync::atomic::AtomicU32;

pub mod aligned;
pub mod background;
pub mod calls;
pub mod descriptor;
pub mod environment;
pub mod errno;
pub mod executable;
pub mod linux;
pub mod log;
pub mod mapped;
pub mod numbers;
pub mod output;
pub mod prefetch;
pub mod probes;
mod program_break;
pub mod shared;
#[cfg(test)]
pub mod sim;
pub mod stack;
pub mod thread;
pub mod usage;
#[cfg(target_env = "gnu")]
mod weak;

use crate::base::why::Why;
use calls::Calls;

/// Whether this allocator may move the process's break.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BreakOwner {
    /// This allocator is the process's malloc: who else moves the break does it by our `sbrk`.
    Ours,
    /// Another malloc lives beside us: only while the process has one thread, and only until that one moved
    /// it.
    Shared,
    /// Not at all: a library that may be unloaded, or a libc whose sbrk refuses.
    Foreign,
}

/// One operating system. Every call may fail, `None` or `false` says so, and nothing has changed then; none
/// of them allocates, and none touches errno. Each memory call is told why it is made, and counted by that.
///
/// # Safety
/// Memory handed out is readable and writable where the state says *ready*, reads as zero, is not
/// aliased by anything else, and stays so until it is given back by a call of this trait.
pub unsafe trait Os: Sync {
    /// The memory calls that were made so far: brk(2), mmap(2) and their like.
    fn made(&self) -> &Calls;

    /// Bytes of a page, a power of two (getauxval(3)).
    fn page(&self) -> usize;

    /// Bytes of address space that the process may have in all (getrlimit(2), RLIMIT_AS).
    fn address_limit(&self) -> usize;

    /// More bytes than this no request can get, however much is given back before it (getrlimit(2),
    /// sysinfo(2)).
    fn reach(&self) -> usize;

    fn break_owner(&self) -> BreakOwner;

    /// What the calling thread stored before is seen by every thread of the process that loads it behind
    /// this call, and what those stored before is seen by this one (membarrier(2)). Where the kernel has no
    /// such call nothing is done.
    fn have_all_threads_see(&self);

    /// Microseconds of a clock that does not go back (clock_gettime(2), CLOCK_MONOTONIC).
    fn micros(&self) -> u64;

    /// Milliseconds of the same clock, in steps of a few, for less (clock_gettime(2),
    /// CLOCK_MONOTONIC_COARSE).
    fn millis(&self) -> usize;

    /// Tells tracers that a block was sampled, of so many bytes, which stands for so many.
    fn tell_sample(&self, block: *mut u8, bytes: usize, stands_for: usize);

    /// Tells tracers that a sampled block is freed.
    fn tell_free(&self, block: *mut u8);

    /// Nanoseconds since 1970, as far as the machine knows (clock_gettime(2), CLOCK_REALTIME).
    fn nanos_since_1970(&self) -> u64;

    /// Writes the return addresses of the calling thread's stack, the innermost first, as far as it can be
    /// followed and `into` has room (sigprocmask(2), by which a page is asked for). How many they are.
    fn stack(&self, into: &mut [usize]) -> usize;

    /// True only while the process surely has one thread.
    fn single_threaded(&self) -> bool;

    /// The calling thread as the kernel knows it (gettid(2)), never 0.
    fn thread(&self) -> u64;

    /// Sleeps until `wake` is called for the word (futex(2)), or so many milliseconds have passed. At once
    /// where the word is another than `while_it_is`; sooner now and then for no reason.
    fn wait(&self, word: &AtomicU32, while_it_is: u32, millis: Option<u32>);

    /// Wakes who sleeps at the word (futex(2)).
    fn wake(&self, word: &AtomicU32);

    /// Whether a thread has ended (tgkill(2)). False where nobody says.
    fn has_ended(&self, thread: u64) -> bool;

    /// The address of the break (brk(2), sbrk(3)); 0 where nobody says.
    fn current_break(&self) -> usize;

    /// none → ready (brk(2)). The address of the first new byte: the break as it was.
    fn grow_break(&self, by: usize, why: Why) -> Option<*mut u8>;

    /// ready → none, from the top (brk(2)).
    ///
    /// # Safety
    /// The `by` bytes below the break are the caller's, and nothing uses them any more.
    unsafe fn shrink_break(&self, by: usize, why: Why) -> bool;

    /// In a fork's child (brk(2)): from here on the break is where the kernel has it, whatever the copy of
    /// libc's memory says.
    ///
    /// # Safety
    /// The calling thread is the process's only one, and the break is its allocator's.
    unsafe fn reread_break(&self);

    /// ready → ready, reading as zero again (madvise(2), MADV_DONTNEED); the pages go back to the kernel.
    ///
    /// # Safety
    /// The range is ready, the caller's, and nothing in it is needed.
    unsafe fn purge(&self, at: *mut u8, len: usize, why: Why) -> bool;

    /// ready → ready (madvise(2), MADV_HUGEPAGE): the range may be backed by huge pages, if the kernel has
    /// them to be asked for. Changes nothing that can be seen but the cost of the next faults.
    ///
    /// # Safety
    /// The range is ready, and the caller's.
    unsafe fn advise_huge(&self, at: *mut u8, len: usize, why: Why) -> bool;

    /// ready → ready (madvise(2), MADV_NOHUGEPAGE): no huge page backs the range, also where they are given
    /// unasked.
    ///
    /// # Safety
    /// The range is ready, and the caller's.
    unsafe fn advise_small(&self, at: *mut u8, len: usize, why: Why) -> bool;

    /// none → ready, wherever there is room: one anonymous mapping (mmap(2)).
    fn map(&self, len: usize, why: Why) -> Option<*mut u8>;

    /// none → ready (mmap(2)) at the address `hint` if there is room, else wherever there is.
    fn map_near(&self, hint: usize, len: usize, why: Why) -> Option<*mut u8>;

    /// ready → none (munmap(2)).
    ///
    /// # Safety
    /// The range is mapped, the caller's, and nothing uses it any more.
    unsafe fn unmap(&self, at: *mut u8, len: usize, why: Why) -> bool;

    /// ready → ready: takes back what the program may have done to a block of whole pages before it gave it
    /// up (msync(2), mprotect(2), madvise(2)). False where that is refused, and where the range is locked
    /// (mlock(2)): whether all of the program is meant to be, nobody says.
    ///
    /// # Safety
    /// The range is mapped, the caller's, and nothing in it is needed.
    unsafe fn make_plain(&self, at: *mut u8, len: usize, why: Why) -> bool;

    /// Bytes of a range that have pages (mincore(2)), in whole pages; of what is not mapped none.
    fn resident(&self, at: *mut u8, len: usize) -> usize;

    /// Changes the length of a mapping (mremap(2)), moving it where it must. Its pages keep their contents.
    ///
    /// # Safety
    /// `at` and `old` are a mapping from `map` (or a page-aligned part of one), the caller's; where it
    /// succeeds nothing uses the old address any more.
    unsafe fn remap(&self, at: *mut u8, old: usize, new: usize, why: Why) -> Option<*mut u8>;
}
