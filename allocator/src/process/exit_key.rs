//! The key of libc's that has the exit hook called when a thread ends.
#![allow(unsafe_code)]

use crate::os::thread::{drop_exit, exit_key};
use crate::sync::holder::wait;
use crate::sync::lock::Lock;
use core::ffi::c_void;
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicU32, Ordering};

/// The key of the exit hook, once the first thread came. In one word, so that a fork copies all of it.
static EXIT_KEY: Lock<Option<ExitKey>> = Lock::new(None);

/// Threads that are in the hook at this moment.
static LEAVING: AtomicU32 = AtomicU32::new(0);

/// A key plus two, or 1 where libc has none: the heaps of threads that end wait for a thread of the same
/// token then.
#[derive(Clone, Copy)]
struct ExitKey(NonZeroU64);

impl ExitKey {
    const NONE: ExitKey = ExitKey(NonZeroU64::MIN);

    fn new(key: Option<libc::pthread_key_t>) -> ExitKey {
        key.and_then(|key| NonZeroU64::new(key as u64 + 2)).map_or(ExitKey::NONE, ExitKey)
    }

    fn key(self) -> Option<libc::pthread_key_t> {
        self.0.get().checked_sub(2).map(|key| key as libc::pthread_key_t)
    }
}

/// The key, made by the first thread that asks. None where libc has none. And whether this is the first one.
pub fn of_process(hook: unsafe extern "C" fn(*mut c_void)) -> (Option<libc::pthread_key_t>, bool) {
    let mut key = EXIT_KEY.lock();
    let first = key.is_none();
    (key.get_or_insert_with(|| ExitKey::new(exit_key(hook))).key(), first)
}

/// libc must not call the exit hook any more. What the threads have stays as it is.
pub fn forget() {
    let before = EXIT_KEY.lock().replace(ExitKey::NONE);
    if let Some(key) = before.and_then(ExitKey::key) {
        drop_exit(key);
    }
}

/// What the hook does: `wait_for_hooks` waits for its end.
pub fn leave(work: impl FnOnce()) {
    // Relaxed: who waits looks behind `forget`. Who comes later was about to come, in the last instructions
    // before this one.
    LEAVING.fetch_add(1, Ordering::Relaxed);
    work();
    // Release: who waits finds what this thread wrote.
    LEAVING.fetch_sub(1, Ordering::Release);
}

/// Waits until no thread is in the hook, behind `forget`. Not for ever: a thread that a fork left behind
/// never comes out.
pub fn wait_for_hooks() {
    /// More than a second.
    const TURNS: u32 = 20_000;
    // Acquire: see `leave`.
    (0..TURNS).take_while(|_| LEAVING.load(Ordering::Acquire) > 0).for_each(|turn| wait::turn(turn, |_| {}));
}

/// # Safety
/// As for `Allocator::repair_after_fork`.
pub unsafe fn repair_after_fork() {
    // Relaxed: the child's one thread, which is in no hook.
    LEAVING.store(0, Ordering::Relaxed);
    // SAFETY: as the caller vouches; the key behind it is one word.
    unsafe { EXIT_KEY.inherit() };
}

/// Whether the calling thread is in the middle of changing what is known of the hook.
pub fn is_mine() -> bool {
    EXIT_KEY.is_mine()
}
