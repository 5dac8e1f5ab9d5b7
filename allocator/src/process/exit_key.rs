//! The key of libc's that has the exit hook called when a thread ends.
#![allow(unsafe_code)]

use crate::os::thread::{drop_exit, exit_key};
use crate::sync::lock::Lock;
use core::ffi::c_void;
use core::num::NonZeroU64;

/// The key of the exit hook, once the first thread came. In one word, so that a fork copies all of it.
static EXIT_KEY: Lock<Option<ExitKey>> = Lock::new(None);

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

/// # Safety
/// As for `Allocator::repair_after_fork`.
pub unsafe fn repair_after_fork() {
    // SAFETY: as the caller vouches; the key behind it is one word.
    unsafe { EXIT_KEY.inherit() };
}

/// Whether the calling thread is in the middle of changing what is known of the hook.
pub fn is_mine() -> bool {
    EXIT_KEY.is_mine()
}
