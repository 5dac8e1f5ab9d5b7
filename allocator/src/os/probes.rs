//! Probes for tracers outside of the process: USDT, as systemtap's sys/sdt.h makes them. Each is an
//! instruction that does nothing, a note that says where it is and where its arguments are, and a word that a
//! tracer counts itself in (a semaphore).
//!
//! | probe | arguments |
//! | --- | --- |
//! | `otel_memory:alloc` | a sampled block's address, its bytes, the bytes that it stands for |
//! | `otel_memory:free` | the address of a sampled block that is freed |
//! | `brkmap:syscall` | the call and the reason for it (C strings), how many bytes |
//!
//! The first two are those that OpenTelemetry's eBPF profiler looks for.
#![allow(unsafe_code)]

use core::ffi::CStr;
use core::sync::atomic::{AtomicU16, Ordering};

/// The semaphores. A tracer's kernel counts in them: they are written from outside.
#[unsafe(link_section = ".probes")]
static ALLOC: AtomicU16 = AtomicU16::new(0);
#[unsafe(link_section = ".probes")]
static FREE: AtomicU16 = AtomicU16::new(0);
#[unsafe(link_section = ".probes")]
static SYSCALL: AtomicU16 = AtomicU16::new(0);

#[inline]
fn has(semaphore: &AtomicU16) -> bool {
    cfg!(any(feature = "profile", test)) && semaphore.load(Ordering::Relaxed) != 0
}

/// Whether somebody looks at samples.
#[inline]
pub fn want_samples() -> bool {
    has(&ALLOC)
}

/// The probe of a name: its provider and its own, its semaphore, the arguments as the architecture has them.
#[cfg(all(any(feature = "profile", test), any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
macro_rules! probe {
    ($provider:literal, $name:literal, $semaphore:ident, $at:literal, $($register:tt: $value:expr),*) => {
        // SAFETY: an instruction that does nothing; registers are read by whoever looks.
        unsafe {
            core::arch::asm!(
                "990: nop",
                ".pushsection .note.stapsdt,\"?\",\"note\"",
                ".balign 4",
                ".4byte 992f-991f, 994f-993f, 3",
                "991: .asciz \"stapsdt\"",
                "992: .balign 4",
                "993: .8byte 990b, 0, {semaphore}",
                concat!(".asciz \"", $provider, "\""),
                concat!(".asciz \"", $name, "\""),
                concat!(".asciz \"", $at, "\""),
                "994: .balign 4",
                ".popsection",
                semaphore = sym $semaphore,
                $(in($register) $value,)*
                options(nostack, preserves_flags),
            );
        }
    };
}

#[cfg(all(any(feature = "profile", test), target_arch = "x86_64", not(miri)))]
mod sites {
    use super::{ALLOC, FREE, SYSCALL};

    #[inline(never)]
    pub fn alloc(block: usize, bytes: usize, stands_for: usize) {
        probe!(
            "otel_memory", "alloc", ALLOC, "8@%rdi 8@%rsi 8@%rdx",
            "rdi": block, "rsi": bytes, "rdx": stands_for
        );
    }

    #[inline(never)]
    pub fn free(block: usize) {
        probe!("otel_memory", "free", FREE, "8@%rdi", "rdi": block);
    }

    #[inline(never)]
    pub fn syscall(call: usize, reason: usize, bytes: usize) {
        probe!(
            "brkmap", "syscall", SYSCALL, "8@%rdi 8@%rsi 8@%rdx",
            "rdi": call, "rsi": reason, "rdx": bytes
        );
    }
}

#[cfg(all(any(feature = "profile", test), target_arch = "aarch64", not(miri)))]
mod sites {
    use super::{ALLOC, FREE, SYSCALL};

    #[inline(never)]
    pub fn alloc(block: usize, bytes: usize, stands_for: usize) {
        probe!("otel_memory", "alloc", ALLOC, "8@x0 8@x1 8@x2", "x0": block, "x1": bytes, "x2": stands_for);
    }

    #[inline(never)]
    pub fn free(block: usize) {
        probe!("otel_memory", "free", FREE, "8@x0", "x0": block);
    }

    #[inline(never)]
    pub fn syscall(call: usize, reason: usize, bytes: usize) {
        probe!("brkmap", "syscall", SYSCALL, "8@x0 8@x1 8@x2", "x0": call, "x1": reason, "x2": bytes);
    }
}

#[cfg(not(all(
    any(feature = "profile", test),
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
)))]
mod sites {
    pub fn alloc(_block: usize, _bytes: usize, _stands_for: usize) {}
    pub fn free(_block: usize) {}
    pub fn syscall(_call: usize, _reason: usize, _bytes: usize) {}
}

/// A block was sampled, and stands for so many bytes.
pub fn alloc(block: *mut u8, bytes: usize, stands_for: usize) {
    if has(&ALLOC) {
        sites::alloc(block.addr(), bytes, stands_for);
    }
}

/// A sampled block is freed.
pub fn free(block: *mut u8) {
    if has(&FREE) {
        sites::free(block.addr());
    }
}

/// The kernel was asked for something.
#[inline]
pub fn syscall(call: &'static CStr, reason: &'static CStr, bytes: usize) {
    if has(&SYSCALL) {
        sites::syscall(call.as_ptr().addr(), reason.as_ptr().addr(), bytes);
    }
}
