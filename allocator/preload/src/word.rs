//! Words of each thread in initial-exec thread-local storage: two instructions to read, and no call.
//!
//! `thread_local!` in a shared library goes through `__tls_get_addr`, which is slow and may allocate.
//! Stable Rust has no `#[thread_local]`, so the symbols are made in assembly and their offsets read from
//! the global offset table (`@gottpoff`, `:gottprel:`). The library then needs static TLS space (the
//! loader's DF_STATIC_TLS), of which three pointers are always to be had, even by dlopen.

use brkmap_core::NO_HEAP_STATIC;
use core::arch::{asm, global_asm};
use core::ffi::c_void;

// The initial value of the heap's word is the address of the empty heap: the loader relocates it in the
// template from which each thread's storage is copied.
global_asm!(
    ".pushsection .tdata,\"awT\",@progbits",
    ".balign 8",
    ".hidden brkmap_thread_word",
    ".globl brkmap_thread_word",
    ".type brkmap_thread_word, @object",
    ".size brkmap_thread_word, 8",
    "brkmap_thread_word: .quad {empty}",
    ".hidden brkmap_handing_on",
    ".globl brkmap_handing_on",
    ".type brkmap_handing_on, @object",
    ".size brkmap_handing_on, 8",
    "brkmap_handing_on: .quad 0",
    ".hidden brkmap_frees",
    ".globl brkmap_frees",
    ".type brkmap_frees, @object",
    ".size brkmap_frees, 8",
    "brkmap_frees: .quad 0",
    ".popsection",
    empty = sym NO_HEAP_STATIC,
);

/// Defines a word of each thread by its symbol.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident at $symbol:literal) => {
        $(#[$doc])*
        pub struct $name;

        #[cfg(target_arch = "x86_64")]
        impl $name {
            #[inline(always)]
            pub fn get() -> *mut c_void {
                let word;
                // SAFETY: reads this thread's own copy of the word defined above.
                unsafe {
                    asm!(
                        concat!("mov {word}, qword ptr [rip + ", $symbol, "@GOTTPOFF]"),
                        "mov {word}, qword ptr fs:[{word}]",
                        word = out(reg) word,
                        options(nostack, readonly, preserves_flags),
                    );
                }
                word
            }

            #[inline(always)]
            pub fn set(word: *mut c_void) {
                // SAFETY: writes this thread's own copy of the word defined above.
                unsafe {
                    asm!(
                        concat!("mov {at}, qword ptr [rip + ", $symbol, "@GOTTPOFF]"),
                        "mov qword ptr fs:[{at}], {word}",
                        at = out(reg) _,
                        word = in(reg) word,
                        options(nostack, preserves_flags),
                    );
                }
            }
        }

        #[cfg(target_arch = "aarch64")]
        impl $name {
            #[inline(always)]
            pub fn get() -> *mut c_void {
                let word;
                // SAFETY: reads this thread's own copy of the word defined above.
                unsafe {
                    asm!(
                        "mrs {base}, tpidr_el0",
                        concat!("adrp {word}, :gottprel:", $symbol),
                        concat!("ldr {word}, [{word}, #:gottprel_lo12:", $symbol, "]"),
                        "ldr {word}, [{base}, {word}]",
                        base = out(reg) _,
                        word = out(reg) word,
                        options(nostack, readonly, preserves_flags),
                    );
                }
                word
            }

            #[inline(always)]
            pub fn set(word: *mut c_void) {
                // SAFETY: writes this thread's own copy of the word defined above.
                unsafe {
                    asm!(
                        "mrs {base}, tpidr_el0",
                        concat!("adrp {at}, :gottprel:", $symbol),
                        concat!("ldr {at}, [{at}, #:gottprel_lo12:", $symbol, "]"),
                        "str {word}, [{base}, {at}]",
                        base = out(reg) _,
                        at = out(reg) _,
                        word = in(reg) word,
                        options(nostack, preserves_flags),
                    );
                }
            }
        }

        #[cfg(target_arch = "riscv64")]
        impl $name {
            #[inline(always)]
            pub fn get() -> *mut c_void {
                let word;
                // SAFETY: reads this thread's own copy of the word defined above.
                unsafe {
                    asm!(
                        concat!("la.tls.ie {word}, ", $symbol),
                        "add {word}, {word}, tp",
                        "ld {word}, 0({word})",
                        word = out(reg) word,
                        options(nostack, readonly, preserves_flags),
                    );
                }
                word
            }

            #[inline(always)]
            pub fn set(word: *mut c_void) {
                // SAFETY: writes this thread's own copy of the word defined above.
                unsafe {
                    asm!(
                        concat!("la.tls.ie {at}, ", $symbol),
                        "add {at}, {at}, tp",
                        "sd {word}, 0({at})",
                        at = out(reg) _,
                        word = in(reg) word,
                        options(nostack, preserves_flags),
                    );
                }
            }
        }
    };
}

word! {
    /// The thread's heap, or the empty one.
    Heap at "brkmap_thread_word"
}
word! {
    /// Not null while the thread is inside another's function that one of this library was made of.
    HandingOn at "brkmap_handing_on"
}
word! {
    /// How many blocks the thread has freed while it had no heap, as an address.
    Frees at "brkmap_frees"
}
