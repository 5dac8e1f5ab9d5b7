// SPDX-License-Identifier: GPL-2.0
//! One line a check: `ok NAME`, `not ok NAME - reason`.

use crate::klog::{self, Record};
use crate::process::{self, Ended};

/// What a check says: nothing if it holds, the reason if not.
pub type Outcome = Result<(), Fail>;

pub struct Fail(pub String);

impl From<String> for Fail {
    fn from(reason: String) -> Fail {
        Fail(reason)
    }
}

impl From<i32> for Fail {
    fn from(errno: i32) -> Fail {
        Fail(format!("unexpected {}", crate::sys::name(errno)))
    }
}

/// Reports, counts what failed, and keeps what the kernel logged meanwhile.
pub struct Report {
    pub failed: i32,
    log: klog::Reader,
    pub records: Vec<Record>,
}

impl Report {
    /// The kernel's log is read from here on.
    pub fn start() -> std::io::Result<Report> {
        Ok(Report { failed: 0, log: klog::Reader::from_now()?, records: Vec::new() })
    }

    /// Runs the check in a process of its own: whatever it maps goes with it, and it may crash.
    pub fn check(&mut self, name: &str, check: impl FnOnce() -> Outcome) {
        let ended = process::run(|| match check() {
            Ok(()) => {
                println!("ok {name}");
                0
            }
            Err(Fail(reason)) => {
                println!("not ok {name} - {reason}");
                1
            }
        });
        // Now, not at the end: the kernel keeps a limited number of records.
        self.records.extend(self.log.records());
        match ended {
            Ended::Exited(0) => {}
            Ended::Exited(1) => self.failed += 1,
            other => {
                println!("not ok {name} - {other:?}");
                self.failed += 1;
            }
        }
    }
}

/// Fails with the values told apart.
pub fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: T, wanted: T) -> Outcome {
    if got == wanted { Ok(()) } else { Err(Fail(format!("{what}: {got:?}, wanted {wanted:?}"))) }
}

/// Fails unless the call was refused with this errno.
pub fn refused<T>(what: &str, got: Result<T, i32>, wanted: i32) -> Outcome {
    use crate::sys::name;
    match got {
        Err(errno) if errno == wanted => Ok(()),
        Err(errno) => Err(Fail(format!("{what}: {}, wanted {}", name(errno), name(wanted)))),
        Ok(_) => Err(Fail(format!("{what}: succeeded, wanted {}", name(wanted)))),
    }
}

pub fn that(what: &str, holds: bool) -> Outcome {
    if holds { Ok(()) } else { Err(Fail(what.to_string())) }
}
