//! Where the program break is, as the kernel says: `sbrk(0)` of libc only repeats what libc knows.

/// brk(0) moves nothing and answers where the break is.
pub fn program_break() -> usize {
    // SAFETY: an impossible address is refused, and the answer is the break as it is.
    let answer = unsafe { libc::syscall(libc::SYS_brk, 0) };
    answer.cast_unsigned() as usize
}
