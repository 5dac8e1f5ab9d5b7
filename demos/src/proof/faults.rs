//! Page faults of this process, as getrusage counts them.

use std::fmt;
use std::ops::Sub;

use nix::sys::resource::{UsageWho, getrusage};
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

/// The faults taken while `work` runs. The counting itself takes its own few on first use, so it
/// is warmed up before.
pub fn during<T>(work: impl FnOnce() -> T) -> (T, Faults) {
    let _ = Faults::now();
    let before = Faults::now();
    let result = work();
    (result, Faults::now() - before)
}
