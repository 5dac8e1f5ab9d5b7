//! What libc gives about threads: words per thread, a call when one ends, a call in a fork's child.
#![allow(unsafe_code)]

use core::ffi::c_void;

/// One pointer-sized word for each thread, and a count, readable without a call.
///
/// Each front brings the kind that is fastest where it runs: the program's own thread-local storage
/// for the Rust front, initial-exec storage for the preload library.
pub trait ThreadWord {
    /// Whether C functions are served by this word.
    const SERVES_C: bool;

    /// The word; before `set`, the address of the empty heap.
    fn get() -> *mut c_void;
    /// Sets the word.
    fn set(word: *mut c_void);

    /// Counts a free of a thread that has no heap: the how manieth it is.
    fn count_free() -> u32;

    /// Whether the C functions that this word serves are the process's malloc: not where their library
    /// was only dlopened.
    fn is_process_malloc() -> bool {
        true
    }
}

/// Has `hook` called with a thread's value when that thread ends. The key, or None where libc has no
/// more.
pub fn exit_key(hook: unsafe extern "C" fn(*mut c_void)) -> Option<libc::pthread_key_t> {
    let mut key = 0;
    // SAFETY: `key` is writable, and the hook is a function for the life of the process.
    (unsafe { libc::pthread_key_create(&mut key, Some(hook)) } == 0).then_some(key)
}

/// Arms the exit hook of the calling thread. May allocate (keys of 32 and above), so the thread's heap
/// must be in place before.
pub fn arm_exit(key: libc::pthread_key_t, value: *mut c_void) {
    // SAFETY: the key came from `exit_key`.
    unsafe { libc::pthread_setspecific(key, value) };
}

/// Has no exit hook called from now on.
pub fn drop_exit(key: libc::pthread_key_t) {
    // SAFETY: the key came from `exit_key`. To arm it later fails, and is nobody's loss.
    unsafe { libc::pthread_key_delete(key) };
}

/// Has `child` called in the child of every fork. Nothing is called before the fork: a lock held
/// there would deadlock with libc's stdio locks.
pub fn at_fork_child(child: unsafe extern "C" fn()) {
    // SAFETY: the handler is a function for the life of the process. Where libc has no memory for it
    // the program goes on without; its children then may not allocate, as POSIX has it anyway.
    unsafe { libc::pthread_atfork(None, None, Some(child)) };
}
