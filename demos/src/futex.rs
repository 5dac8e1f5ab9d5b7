//! Sleeping in the kernel until another process changes a word of shared memory.
//!
//! Both sides map the word MAP_SHARED, hence no FUTEX_PRIVATE here.

use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::time::TimeSpec;

/// Sleeps while the word is `value`, until it is woken or the time is over (ETIMEDOUT). EAGAIN: the word was another
/// already.
pub fn wait(word: &AtomicU32, value: u32, limit: Duration) -> nix::Result<()> {
    let limit = TimeSpec::from_duration(limit);
    // SAFETY: the kernel reads the word and the time, which live through the call.
    let done = unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, ptr::from_ref(limit.as_ref()))
    };
    Errno::result(done).map(drop)
}

/// Wakes those that sleep at the word, at most `count` of them.
pub fn wake(word: &AtomicU32, count: u32) {
    let none = ptr::null::<libc::timespec>();
    // The kernel takes a signed number.
    let count = count.min(i32::MAX as u32);
    // SAFETY: waking touches no memory.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count, none) };
}
