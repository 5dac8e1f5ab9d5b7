//! The runs that are timed.
//!
//! All allocators run a row one after another before the next row begins, and all rows before the next
//! repetition: what drifts on a machine then meets all of them. Who begins rotates.

use std::time::{Duration, Instant};

use brkmap_base::bar::bar;

use super::cli::Options;
use super::contender::{Measured, Subject};
use super::process::Result;
use super::row::{Measurable, checksum};
use crate::load::line::Line;
use crate::results::Sample;

/// With --quick, no repetition begins later than this.
const QUICK: Duration = Duration::from_secs(150);

pub fn measure(sets: &mut [Measured], options: &Options, began: Instant, remarks: &mut Vec<String>) {
    let runs: usize = sets.iter().map(|set| set.rows.len() * set.subjects.len()).sum();
    let progress = bar((runs * options.repetitions()) as u64, "timing");
    for repetition in 0..options.repetitions() {
        if options.quick && repetition > 0 && began.elapsed() > QUICK {
            remarks.push(format!("--quick ran out of time: {repetition} repetitions only."));
            break;
        }
        for set in &mut *sets {
            let count = set.subjects.len();
            for (number, measurable) in set.rows.iter_mut().enumerate() {
                for turn in order(count, repetition + number) {
                    run(measurable, &set.subjects[turn], options);
                    progress.inc(1);
                }
            }
        }
    }
    progress.finish_and_clear();
}

/// All of them, beginning with another each time.
fn order(count: usize, start: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| (turn + start) % count)
}

fn run(measurable: &mut Measurable, subject: &Subject, options: &Options) {
    let name = subject.name();
    if measurable.cell(name).is_none() {
        return;
    }
    match once(measurable, subject, options) {
        Err(failure) => measurable.fail(name, failure),
        Ok(sample) => measurable.cell(name).into_iter().for_each(|cell| cell.samples.push(sample)),
    }
}

/// One timed run. Its checksum is held against those before.
pub fn once(measurable: &mut Measurable, subject: &Subject, options: &Options) -> Result<Sample> {
    let outcome = measurable.invocation(subject, options.scale(), options.threads()).run()?;
    let mut sample = outcome.sample;
    let output = outcome.success()?;
    if let Some(peak) = own_peak(&output) {
        sample.peak_kib = peak;
    }
    let checksum = checksum(&measurable.what, &output)?;
    if let Some(cell) = measurable.cell(subject.name()) {
        let before = cell.checksum.get_or_insert_with(|| checksum.clone());
        if *before != checksum {
            // The row's judgement then names it: it agrees with nobody, not even itself.
            *before = format!("{before}, then {checksum}");
        }
    }
    Ok(sample)
}

/// A load reads its peak itself: the kernel's begins with that of this process, which forked it.
fn own_peak(output: &str) -> Option<u64> {
    Line::parse(output).and_then(|line| line.get("peak_kib"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_tells_its_own_peak() {
        assert_eq!(own_peak("checksum=1 peak_kib=77\n"), Some(77));
        assert_eq!(own_peak("done\n"), None);
    }

    #[test]
    fn everybody_begins_once() {
        assert_eq!(order(3, 0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(order(3, 4).collect::<Vec<_>>(), [1, 2, 0]);
        let first: Vec<_> = (0..3).filter_map(|start| order(3, start).next()).collect();
        assert_eq!(first, [0, 1, 2]);
    }
}
