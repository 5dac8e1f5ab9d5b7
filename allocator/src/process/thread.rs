//! The threads of the process: how each comes to a heap, and leaves it.
#![allow(unsafe_code)]

use super::{ALLOCATOR, environment, fork, unload};
use crate::allocator::Freer;
use crate::heap::{EMPTY, Heap, Stamps};
use crate::os::thread::{ThreadWord, arm_exit, at_fork_child, drop_exit, exit_key};
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

/// Frees of a thread without a heap before it gets one to free with, if there may be one more of those. Fewer
/// are what libc frees for a thread that ends, and such a heap would be nobody's a moment later.
const FREES: u32 = 64;

/// The calling thread's heap for the fast paths; `EMPTY` where it has none.
#[inline(always)]
pub fn current<W: ThreadWord>() -> &'static Heap {
    // SAFETY: a thread's word is EMPTY or a heap, and heaps are never unmade.
    unsafe { &*W::get().cast::<Heap>() }
}

/// The heap of a thread that allocates.
#[inline]
pub fn attach<W: ThreadWord>() -> Option<&'static Heap> {
    ALLOCATOR.attach::<W>(on_new_heap::<W>)
}

/// The calling thread as one that frees: that alone makes no heap, or almost none.
#[inline]
pub fn freer<W: ThreadWord>() -> Freer<'static> {
    match ALLOCATOR.attached::<W>() {
        Some(heap) => Freer::Heap(heap),
        None => freer_without::<W>(),
    }
}

#[cold]
fn freer_without<W: ThreadWord>() -> Freer<'static> {
    let frees = W::count_free();
    if frees < FREES {
        return Freer::Visitor;
    }
    let heap = frees.is_multiple_of(FREES).then(|| ALLOCATOR.attach_to_free::<W>(on_new_heap::<W>));
    heap.flatten().map_or(Freer::Consumer, Freer::Heap)
}

/// Takes the calling thread's heap from it, in the middle of a change, until it asks for one again: then it
/// gets the same (`Registry::claim`).
pub fn let_go<W: ThreadWord>() {
    W::set(core::ptr::from_ref(&EMPTY).cast::<c_void>().cast_mut());
}

/// A thread has its first heap, or one again.
#[cold]
fn on_new_heap<W: ThreadWord>(heap: &Heap) {
    heap.set_stamps(if W::SERVES_C { Stamps::Kept } else { Stamps::None });
    let (key, first) = {
        let mut key = EXIT_KEY.lock();
        let first = key.is_none();
        (key.get_or_insert_with(|| ExitKey::new(exit_key(on_thread_exit::<W>))).key(), first)
    };
    if first {
        // All may allocate, so outside of the lock.
        environment::read_environment();
        at_fork_child(fork::in_child::<W>);
    }
    unload::watch();
    if let Some(key) = key {
        arm_exit(key, core::ptr::from_ref(heap).cast::<c_void>().cast_mut());
    }
}

/// libc calls the hook once for each time that it was armed, as long as it runs destructors at all
/// (PTHREAD_DESTRUCTOR_ITERATIONS, four rounds at least). A later destructor that allocates claims a heap
/// again, and arms it again. After the last round nobody calls it: see `Registry::claim`.
unsafe extern "C" fn on_thread_exit<W: ThreadWord>(word: *mut c_void) {
    // SAFETY: the hook was armed with the thread's heap.
    let id = unsafe { (*word.cast::<Heap>()).id() };
    // SAFETY: this is the thread, and its word changes with this call.
    unsafe { ALLOCATOR.detach::<W>(id) };
}

/// libc must not call the exit hook any more. What the threads have stays as it is.
pub fn forget_exit_key() {
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
