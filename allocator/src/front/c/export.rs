//! The symbols, one line each: written once, for the preload library and for `override`.
#![allow(unsafe_code)]

/// Defines malloc's family for the front `$front`.
#[doc(hidden)]
#[macro_export]
macro_rules! export_c_api {
    ($front:ty) => {
        $crate::export_c_api! { @safe $front;
            malloc(size: usize) -> *mut c_void = malloc;
            calloc(count: usize, size: usize) -> *mut c_void = calloc;
            aligned_alloc(align: usize, size: usize) -> *mut c_void = aligned_alloc;
            memalign(align: usize, size: usize) -> *mut c_void = memalign;
            valloc(size: usize) -> *mut c_void = valloc;
            pvalloc(size: usize) -> *mut c_void = pvalloc;
            malloc_trim(keep: usize) -> c_int = malloc_trim;
            mallopt(parameter: c_int, value: c_int) -> c_int = mallopt;
            mallinfo() -> $crate::c_api::MallInfo = mallinfo;
            mallinfo2() -> $crate::c_api::MallInfo2 = mallinfo2;
            malloc_stats() -> () = malloc_stats;
            sbrk(increment: isize) -> *mut c_void = sbrk;
            brk(to: *mut c_void) -> c_int = brk;
        }
        $crate::export_c_api! { @unsafe $front;
            free(block: *mut c_void) -> () = free;
            free_sized(block: *mut c_void, size: usize) -> () = free_sized;
            free_aligned_sized(block: *mut c_void, align: usize, size: usize) -> () = free_aligned_sized;
            realloc(block: *mut c_void, size: usize) -> *mut c_void = realloc;
            reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void = reallocarray;
            posix_memalign(out: *mut *mut c_void, align: usize, size: usize) -> c_int = posix_memalign;
            malloc_usable_size(block: *mut c_void) -> usize = malloc_usable_size;
            malloc_info(options: c_int, stream: *mut $crate::c_api::Stream) -> c_int = malloc_info;
            brkmap_stats(to: *mut $crate::c_api::CStats, len: usize, version: c_uint) -> c_int = brkmap_stats;
            brkmap_stats_json(out: *mut c_char, len: usize) -> usize = brkmap_stats_json;
        }
    };
    (@safe $front:ty; $($name:ident($($arg:ident: $kind:ty),*) -> $result:ty = $($path:ident)::+;)*) => {
        const _: () = {
            #[allow(unused_imports, reason = "not every list has both")]
            use core::ffi::{c_char, c_int, c_uint, c_void};
            $(
                #[unsafe(no_mangle)]
                extern "C" fn $name($($arg: $kind),*) -> $result {
                    $crate::c_api::$($path)::+::<$front>($($arg),*)
                }
            )*
        };
    };
    (@unsafe $front:ty; $($name:ident($($arg:ident: $kind:ty),*) -> $result:ty = $($path:ident)::+;)*) => {
        const _: () = {
            #[allow(unused_imports, reason = "not every list has both")]
            use core::ffi::{c_char, c_int, c_uint, c_void};
            $(
                #[unsafe(no_mangle)]
                unsafe extern "C" fn $name($($arg: $kind),*) -> $result {
                    // SAFETY: malloc(3) asks of the caller what the function asks.
                    unsafe { $crate::c_api::$($path)::+::<$front>($($arg),*) }
                }
            )*
        };
    };
}

/// Defines the other names that glibc has for functions of the family. Its own parts have called some of
/// them, and programs that wrap malloc do: no block may reach another malloc's free by them.
#[doc(hidden)]
#[macro_export]
macro_rules! export_glibc_names {
    ($front:ty) => {
        $crate::export_c_api! { @safe $front;
            __libc_malloc(size: usize) -> *mut c_void = malloc;
            __libc_calloc(count: usize, size: usize) -> *mut c_void = expressly::calloc;
            __libc_memalign(align: usize, size: usize) -> *mut c_void = expressly::memalign;
            __libc_valloc(size: usize) -> *mut c_void = expressly::valloc;
            __libc_pvalloc(size: usize) -> *mut c_void = expressly::pvalloc;
            __libc_mallopt(parameter: c_int, value: c_int) -> c_int = mallopt;
            __libc_mallinfo() -> $crate::c_api::MallInfo = expressly::mallinfo;
        }
        $crate::export_c_api! { @unsafe $front;
            __libc_free(block: *mut c_void) -> () = free;
            __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void = expressly::realloc;
            cfree(block: *mut c_void) -> () = cfree;
        }
    };
}
