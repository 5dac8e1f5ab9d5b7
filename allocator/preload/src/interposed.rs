//! Whether the process's malloc is this library's.
//!
//! It is where the library was preloaded or linked. Where it was only dlopened, libc's malloc lives beside
//! it, and moves the break. The loader has the answer: it resolved the name `malloc` in the order that the
//! process does, and wrote what it found into this library's global offset table.

use core::arch::asm;

/// The addresses of the process's malloc, and of this library's first and last byte.
#[cfg(target_arch = "x86_64")]
fn addresses() -> (usize, usize, usize) {
    let (malloc, start, end);
    // SAFETY: reads the library's own table, and computes addresses the linker defines.
    unsafe {
        asm!(
            ".hidden __ehdr_start",
            ".hidden _end",
            "mov {malloc}, qword ptr [rip + malloc@GOTPCREL]",
            "lea {start}, [rip + __ehdr_start]",
            "lea {end}, [rip + _end]",
            malloc = out(reg) malloc,
            start = out(reg) start,
            end = out(reg) end,
            options(nostack, readonly, preserves_flags),
        );
    }
    (malloc, start, end)
}

#[cfg(target_arch = "aarch64")]
fn addresses() -> (usize, usize, usize) {
    let (malloc, start, end);
    // SAFETY: reads the library's own table, and computes addresses the linker defines.
    unsafe {
        asm!(
            ".hidden __ehdr_start",
            ".hidden _end",
            "adrp {malloc}, :got:malloc",
            "ldr {malloc}, [{malloc}, #:got_lo12:malloc]",
            "adrp {start}, __ehdr_start",
            "add {start}, {start}, #:lo12:__ehdr_start",
            "adrp {end}, _end",
            "add {end}, {end}, #:lo12:_end",
            malloc = out(reg) malloc,
            start = out(reg) start,
            end = out(reg) end,
            options(nostack, readonly, preserves_flags),
        );
    }
    (malloc, start, end)
}

pub fn is_process_malloc() -> bool {
    let (malloc, start, end) = addresses();
    (start..end).contains(&malloc)
}
