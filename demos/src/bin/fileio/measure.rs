//! One work done one way: its time, its faults, its system calls.

use std::time::Instant;

use brkmap_base::error::{During, Error};
use brkmap_demos::mapping::FileView;
use brkmap_demos::proof::faults::during;
use brkmap_demos::proof::residency::{count, resident};
use brkmap_demos::proof::syscalls::{self, Calls};
use brkmap_witness::Faults;
use indicatif::ProgressBar;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use serde::Serialize;

use crate::work::{self, Ground, Way, Work};

/// The fastest of these is kept: what disturbs a run only ever makes it slower.
const RUNS: usize = 3;

#[derive(Debug, Serialize)]
pub struct Measured {
    pub work: &'static str,
    pub way: &'static str,
    pub microseconds: u64,
    pub faults: Faults,
    /// Or why they could not be counted.
    pub calls: Result<Calls, String>,
    #[serde(skip)]
    pub sum: u64,
    /// For updates: read(2) found them all. True for reads.
    #[serde(skip)]
    pub kept: bool,
}

/// None when the file cannot be dropped from the page cache, which `SequentialCold` needs.
pub fn measure(work: Work, way: Way, ground: &Ground, bar: &ProgressBar) -> Result<Option<Measured>, Error> {
    let mut best: Option<(u64, Faults, u64)> = None;
    for _ in 0..RUNS {
        if work == Work::SequentialCold {
            if !drop_cache(ground)? {
                return Ok(None);
            }
        } else {
            work::run(Work::Sequential, Way::Calls, ground)?;
        }
        let start = Instant::now();
        let (sum, faults) = during(|| work::run(work, way, ground));
        let time = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let sum = sum?;
        if best.is_none_or(|(shortest, ..)| time < shortest) {
            best = Some((time, faults, sum));
        }
        bar.inc(1);
    }
    let (microseconds, faults, sum) = best.expect("RUNS is not 0");
    let kept = !work.writes() || ground.has_updates(way.salt(), work == Work::Durable)?;
    let piece: syscalls::Work<'_> = Box::new(|| work::run(work, way, ground).map(|_| ()));
    let calls = syscalls::count(vec![piece]).map(|mut counted| counted.remove(0));
    bar.inc(1);
    Ok(Some(Measured { work: work.name(), way: way.name(), microseconds, faults, calls, sum, kept }))
}

/// How often `measure` moves its bar.
pub const STEPS: u64 = RUNS as u64 + 1;

fn drop_cache(ground: &Ground) -> Result<bool, Error> {
    ground.file.sync_all().during("write the file back")?;
    posix_fadvise(&ground.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
        .during("drop the file's pages")?;
    Ok(count(&resident(&FileView::map(&ground.file, ground.length)?)?) == 0)
}
