//! The threads of the process: how each comes to a heap, and leaves it.
#![allow(unsafe_code)]

use super::instance::ALLOCATOR;
use super::{background, exit_key, fork, profiling, reports, unload};
use crate::allocator::Freer;
use crate::heap::{Heap, Stamps};
use crate::os::thread::{ThreadWord, arm_exit, at_fork_child};
use core::ffi::c_void;

/// Frees of a thread without a heap before it gets one to free with, if there may be one more of those. Fewer
/// are what libc frees for a thread that ends, and such a heap would be nobody's a moment later.
const FREES: u32 = 64;

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
    let heap = (frees % FREES == 0).then(|| ALLOCATOR.attach_to_free::<W>(on_new_heap::<W>));
    heap.flatten().map_or(Freer::Consumer, Freer::Heap)
}

/// A thread has its first heap, or one again.
#[cold]
fn on_new_heap<W: ThreadWord>(heap: &Heap) {
    heap.set_stamps(if W::SERVES_C { Stamps::Kept } else { Stamps::None });
    let (key, first) = exit_key::of_process(on_thread_exit::<W>);
    if first {
        // All may allocate, so outside of the lock.
        at_fork_child(fork::in_child::<W>);
        reports::report_at_exit();
        profiling::begin::<W>();
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
    exit_key::leave(|| {
        // SAFETY: the hook was armed with the thread's heap.
        let id = unsafe { (*word.cast::<Heap>()).id() };
        // SAFETY: this is the thread, and its word changes with this call.
        unsafe { ALLOCATOR.detach::<W>(id) };
        background::end_with_main();
    });
}
