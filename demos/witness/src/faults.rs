//! Page faults of this process, as getrusage counts them.

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Sub;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Faults {
    /// The page was in memory already, or was only to be zeroed.
    pub minor: u64,
    /// The page had to come from the disk.
    pub major: u64,
}

impl Faults {
    pub fn now() -> Faults {
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: getrusage fills the structure it is given.
        unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
        // SAFETY: zeroed, and a structure of plain numbers: initialised whether or not it was filled.
        let usage = unsafe { usage.assume_init() };
        Faults { minor: usage.ru_minflt as u64, major: usage.ru_majflt as u64 }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_touched_for_the_first_time_is_a_fault() {
        let before = Faults::now();
        std::hint::black_box(vec![1u8; 8 << 20]);
        let taken = Faults::now() - before;
        assert!(taken.minor > 0 && taken.all() >= taken.minor, "{taken}");
    }
}
