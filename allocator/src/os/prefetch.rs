//! Hints to the processor that a cache line is about to be used: where several are cold, they come side by
//! side then, and not one behind the other. Any address will do: a hint neither faults nor changes anything.
#![allow(unsafe_code)]

/// An instruction that takes an address and is only a hint: on x86-64, on aarch64, and none elsewhere.
macro_rules! hint {
    ($at:ident, $x86_64:literal, $aarch64:literal) => {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: a hint, whatever the address. A processor that does not know it skips it.
        unsafe {
            core::arch::asm!($x86_64, in(reg) $at, options(nostack, preserves_flags, readonly));
        }
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        // SAFETY: a hint, whatever the address.
        unsafe {
            core::arch::asm!($aarch64, in(reg) $at, options(nostack, preserves_flags, readonly));
        }
        let _ = $at;
    };
}

#[inline(always)]
pub fn to_read(at: *const u8) {
    hint!(at, "prefetcht0 [{}]", "prfm pldl1keep, [{}]");
}

/// The same, and no other processor keeps the line.
#[inline(always)]
pub fn to_write(at: *const u8) {
    hint!(at, "prefetchw [{}]", "prfm pstl1keep, [{}]");
}
