//! Where a symbol of libc's is that need not be there.
#![allow(unsafe_code)]

/// The address of a symbol, or null: by a weak reference, which the loader (or the linker, of a static
/// program) has resolved before the program began. To ask the loader by name would take its lock, which a
/// thread may hold that waits for one of ours: a constructor under dlopen that allocates.
macro_rules! weak {
    ($symbol:literal) => {{
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            let at: *const ();
            // SAFETY: reads this program's own global offset table.
            unsafe {
                core::arch::asm!(
                    concat!(".weak ", $symbol),
                    concat!("mov {at}, qword ptr [rip + ", $symbol, "@GOTPCREL]"),
                    at = out(reg) at,
                    options(nostack, pure, readonly, preserves_flags),
                );
            }
            at
        }
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        {
            let at: *const ();
            // SAFETY: as above.
            unsafe {
                core::arch::asm!(
                    concat!(".weak ", $symbol),
                    concat!("adrp {at}, :got:", $symbol),
                    concat!("ldr {at}, [{at}, #:got_lo12:", $symbol, "]"),
                    at = out(reg) at,
                    options(nostack, pure, readonly, preserves_flags),
                );
            }
            at
        }
        #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
        core::ptr::null::<()>()
    }};
}
pub(super) use weak;
