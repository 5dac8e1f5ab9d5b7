//! Keeps std's panic machinery out of the library: some 250 KiB with libgcc_s behind it, for something that
//! never happens here.
//!
//! Nothing in the allocator can panic, but the unwind tables of the few functions of std that are linked
//! name `rust_eh_personality`, which leads to all of it. The build script has the linker put the symbol
//! below in its place (`--wrap`; a linker that wraps only undefined names leaves things as they were). The
//! unwinder would call it for a frame of this library, and no exception passes one.

use core::arch::global_asm;

#[cfg(target_arch = "x86_64")]
macro_rules! trap {
    () => {
        "ud2"
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! trap {
    () => {
        "brk #1"
    };
}

#[cfg(target_arch = "riscv64")]
macro_rules! trap {
    () => {
        "unimp"
    };
}

global_asm!(
    ".pushsection .text.brkmap_personality,\"ax\",@progbits",
    ".hidden __wrap_rust_eh_personality",
    ".globl __wrap_rust_eh_personality",
    ".type __wrap_rust_eh_personality, @function",
    "__wrap_rust_eh_personality:",
    trap!(),
    ".size __wrap_rust_eh_personality, . - __wrap_rust_eh_personality",
    ".popsection",
);
