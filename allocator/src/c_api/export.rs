//! The symbols, one line each: written once, for the preload library and for `override`.

/// Defines malloc's family, for threads whose heap is found by the word type `$word`.
#[doc(hidden)]
#[macro_export]
macro_rules! export_c_api {
    ($word:ty) => {
        $crate::export_c_api! { @safe $word;
            malloc(size: usize) -> *mut c_void;
            calloc(count: usize, size: usize) -> *mut c_void;
            aligned_alloc(align: usize, size: usize) -> *mut c_void;
            memalign(align: usize, size: usize) -> *mut c_void;
            valloc(size: usize) -> *mut c_void;
            pvalloc(size: usize) -> *mut c_void;
            malloc_trim(keep: usize) -> c_int;
            sbrk(increment: isize) -> *mut c_void;
            brk(to: *mut c_void) -> c_int;
        }
        $crate::export_c_api! { @unsafe $word;
            free(block: *mut c_void) -> ();
            free_sized(block: *mut c_void, size: usize) -> ();
            free_aligned_sized(block: *mut c_void, align: usize, size: usize) -> ();
            realloc(block: *mut c_void, size: usize) -> *mut c_void;
            reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void;
            posix_memalign(out: *mut *mut c_void, align: usize, size: usize) -> c_int;
            malloc_usable_size(block: *mut c_void) -> usize;
        }
        $crate::export_c_api! { @safe ();
            mallopt(parameter: c_int, value: c_int) -> c_int;
            mallinfo2() -> $crate::c_api::MallInfo2;
            malloc_stats() -> ();
        }
    };
    (@safe $word:ty; $($name:ident($($arg:ident: $kind:ty),*) -> $result:ty;)*) => {
        const _: () = {
            use core::ffi::{c_int, c_void};
            $(
                #[unsafe(no_mangle)]
                extern "C" fn $name($($arg: $kind),*) -> $result { $crate::c_api::$name::<$word>($($arg),*) }
            )*
        };
    };
    (@unsafe $word:ty; $($name:ident($($arg:ident: $kind:ty),*) -> $result:ty;)*) => {
        const _: () = {
            use core::ffi::{c_int, c_void};
            $(
                #[unsafe(no_mangle)]
                unsafe extern "C" fn $name($($arg: $kind),*) -> $result {
                    // SAFETY: malloc(3) asks of the caller what the function asks.
                    unsafe { $crate::c_api::$name::<$word>($($arg),*) }
                }
            )*
        };
    };
}
