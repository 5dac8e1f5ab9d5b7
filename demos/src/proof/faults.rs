//! Page faults of this process, as getrusage counts them.

use std::fmt;
use std::ops::Sub;
use std::sync::Once;

use nix::sys::resource::{UsageWho, getrusage};
use procfs::process::{MMPermissions, Process};
use serde::Serialize;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// The page was in memory already, or was only to be zeroed.
    pub minor: u64,
    /// The page had to come from the disk.
    pub major: u64,
}

impl Faults {
    pub fn now() -> Faults {
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("RUSAGE_SELF is always answered");
        Faults {
            minor: usage.minor_page_faults().cast_unsigned(),
            major: usage.major_page_faults().cast_unsigned(),
        }
    }

    pub fn all(self) -> u64 {
        self.minor + self.major
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} minor, {} major faults", self.minor, self.major)
    }
}

impl Sub for Faults {
    type Output = Faults;

    fn sub(self, before: Faults) -> Faults {
        Faults { minor: self.minor - before.minor, major: self.major - before.major }
    }
}

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
    let maps = Process::myself().and_then(|me| me.maps()).map(|maps| maps.0).unwrap_or_default();
    let code = maps.iter().filter(|map| map.perms.contains(MMPermissions::EXECUTE));
    for (start, end) in code.map(|map| map.address) {
        let start = std::ptr::with_exposed_provenance_mut(start as usize);
        // SAFETY: reads pages of our own; where it is refused (before Linux 5.14, vsyscall) nothing
        // is changed.
        unsafe { libc::madvise(start, (end as usize) - start.addr(), libc::MADV_POPULATE_READ) };
    }
    std::hint::black_box([0_u8; 64 << 10]);
    let _ = Faults::now();
}
