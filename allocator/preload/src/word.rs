//! The thread's words in initial-exec thread-local storage: two instructions to read, and no call.
//!
//! `thread_local!` in a shared library goes through `__tls_get_addr`, which is slow and may allocate.
//! Stable Rust has no `#[thread_local]`, so the symbol is made in assembly and its offset read from
//! the global offset table (`@gottpoff`, `:gottprel:`). The library then needs static TLS space (the
//! loader's DF_STATIC_TLS), of which two pointers are always to be had, even by dlopen.

use brkmap_core::{NO_HEAP_STATIC, ThreadWord};
use core::arch::{asm, global_asm};
use core::ffi::c_void;

// The initial value is the address of the empty heap: the loader relocates it in the template from
// which each thread's storage is copied.
global_asm!(
    ".pushsection .tdata,\"awT\",@progbits",
    ".balign 8",
    ".hidden brkmap_thread_word",
    ".globl brkmap_thread_word",
    ".type brkmap_thread_word, @object",
    ".size brkmap_thread_word, 16",
    "brkmap_thread_word: .quad {empty}",
    // The count of frees.
    ".quad 0",
    ".popsection",
    empty = sym NO_HEAP_STATIC,
);

pub struct InitialExec;

#[cfg(target_arch = "x86_64")]
impl ThreadWord for InitialExec {
    fn is_process_malloc() -> bool {
        crate::interposed::is_process_malloc()
    }

    #[inline(always)]
    fn get() -> *mut c_void {
        let word;
        // SAFETY: reads this thread's own copy of the word defined above.
        unsafe {
            asm!(
                "mov {word}, qword ptr [rip + brkmap_thread_word@GOTTPOFF]",
                "mov {word}, qword ptr fs:[{word}]",
                word = out(reg) word,
                options(nostack, readonly, preserves_flags),
            );
        }
        word
    }

    #[inline(always)]
    fn set(word: *mut c_void) {
        // SAFETY: writes this thread's own copy of the word defined above.
        unsafe {
            asm!(
                "mov {at}, qword ptr [rip + brkmap_thread_word@GOTTPOFF]",
                "mov qword ptr fs:[{at}], {word}",
                at = out(reg) _,
                word = in(reg) word,
                options(nostack, preserves_flags),
            );
        }
    }

    fn count_free() -> u32 {
        let count;
        // SAFETY: changes this thread's own count, behind the word defined above.
        unsafe {
            asm!(
                "mov {at}, qword ptr [rip + brkmap_thread_word@GOTTPOFF]",
                "mov {count:e}, dword ptr fs:[{at} + 8]",
                "add {count:e}, 1",
                "mov dword ptr fs:[{at} + 8], {count:e}",
                at = out(reg) _,
                count = out(reg) count,
                options(nostack),
            );
        }
        count
    }
}

#[cfg(target_arch = "aarch64")]
impl ThreadWord for InitialExec {
    fn is_process_malloc() -> bool {
        crate::interposed::is_process_malloc()
    }

    #[inline(always)]
    fn get() -> *mut c_void {
        let word;
        // SAFETY: reads this thread's own copy of the word defined above.
        unsafe {
            asm!(
                "mrs {base}, tpidr_el0",
                "adrp {word}, :gottprel:brkmap_thread_word",
                "ldr {word}, [{word}, #:gottprel_lo12:brkmap_thread_word]",
                "ldr {word}, [{base}, {word}]",
                base = out(reg) _,
                word = out(reg) word,
                options(nostack, readonly, preserves_flags),
            );
        }
        word
    }

    #[inline(always)]
    fn set(word: *mut c_void) {
        // SAFETY: writes this thread's own copy of the word defined above.
        unsafe {
            asm!(
                "mrs {base}, tpidr_el0",
                "adrp {at}, :gottprel:brkmap_thread_word",
                "ldr {at}, [{at}, #:gottprel_lo12:brkmap_thread_word]",
                "str {word}, [{base}, {at}]",
                base = out(reg) _,
                at = out(reg) _,
                word = in(reg) word,
                options(nostack, preserves_flags),
            );
        }
    }

    fn count_free() -> u32 {
        let count;
        // SAFETY: changes this thread's own count, behind the word defined above.
        unsafe {
            asm!(
                "mrs {base}, tpidr_el0",
                "adrp {at}, :gottprel:brkmap_thread_word",
                "ldr {at}, [{at}, #:gottprel_lo12:brkmap_thread_word]",
                "add {at}, {base}, {at}",
                "ldr {count:w}, [{at}, #8]",
                "add {count:w}, {count:w}, #1",
                "str {count:w}, [{at}, #8]",
                base = out(reg) _,
                at = out(reg) _,
                count = out(reg) count,
                options(nostack, preserves_flags),
            );
        }
        count
    }
}
