//! A thread that is to be cancelled goes on through every function of the family: none is a cancellation
//! point.
#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "each call is as its manual asks, of blocks that are live"
)]

use std::ptr::null_mut;

use libc::{c_int, c_void};

use super::c_api::{
    SIZES, aligned_alloc, calloc, free, free_sized, functions, mallinfo2, malloc, malloc_stats, malloc_trim,
    malloc_usable_size, mallopt, memalign, posix_memalign, pvalloc, realloc, reallocarray, valloc,
};

functions! {
    malloc_info(options: c_int, stream: *mut libc::FILE) -> c_int;
}

/// What the thread returns if nothing stopped it.
const CAME_THROUGH: *mut c_void = std::ptr::without_provenance_mut(77);

extern "C" fn work(stream: *mut c_void) -> *mut c_void {
    unsafe {
        libc::pthread_cancel(libc::pthread_self());
        for size in SIZES {
            let mut aligned = null_mut();
            posix_memalign(&mut aligned, 64, size);
            let blocks = [
                malloc(size),
                calloc(1, size),
                realloc(null_mut(), size),
                realloc(malloc(size / 2 + 1), size * 3),
                reallocarray(null_mut(), 2, size),
                memalign(4096, size),
                aligned_alloc(64, size),
                valloc(size),
                pvalloc(size),
                aligned,
            ];
            free_sized(malloc(size), size);
            for block in blocks {
                malloc_usable_size(block);
                free(block);
            }
        }
        assert!(malloc(isize::MAX as usize).is_null());
        malloc_trim(0);
        mallopt(-1, 1 << 20);
        mallinfo2();
        malloc_info(0, stream.cast());
        malloc_stats();
    }
    CAME_THROUGH
}

pub fn all() {
    unsafe {
        let stream = libc::fopen(c"/dev/null".as_ptr(), c"w".as_ptr());
        assert!(!stream.is_null());
        // Each write is a system call.
        libc::setvbuf(stream, null_mut(), libc::_IONBF, 0);
        let (mut thread, mut result) = (std::mem::zeroed(), null_mut());
        assert_eq!(libc::pthread_create(&mut thread, std::ptr::null(), work, stream.cast()), 0);
        assert_eq!(libc::pthread_join(thread, &mut result), 0);
        assert_eq!(result, CAME_THROUGH, "the thread was cancelled in one of the functions");
        libc::fclose(stream);
    }
}
