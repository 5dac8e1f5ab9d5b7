//! Page faults of a piece of work.

use std::sync::Once;

use brkmap_witness::Faults;
use brkmap_witness::maps::Maps;

/// The faults taken while `work` runs, and none of those that its own code or stack would take.
pub fn during<T>(work: impl FnOnce() -> T) -> (T, Faults) {
    static SETTLED: Once = Once::new();
    SETTLED.call_once(settle);
    let before = Faults::now();
    let result = work();
    (result, Faults::now() - before)
}

/// Has the page table entries of the program's code and of some stack made beforehand.
fn settle() {
    let Ok(maps) = Maps::of_this_process() else { return };
    for code in maps.regions().filter(|region| region.rights.contains('x')) {
        let start = std::ptr::with_exposed_provenance_mut(code.addresses.start);
        // SAFETY: reads pages of our own; where it is refused (before Linux 5.14, vsyscall) nothing
        // is changed.
        unsafe { libc::madvise(start, code.addresses.len(), libc::MADV_POPULATE_READ) };
    }
    std::hint::black_box([0_u8; 64 << 10]);
    let _ = Faults::now();
}
