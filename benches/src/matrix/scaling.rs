//! Whether threads cost each other anything: the same share of work on one processor, on each processor in a
//! process of its own, and on each in a thread of one process.
//!
//! ```text
//!   alone      processor 0: 1 thread × share
//!   apart      processor 0: 1 thread × share     processor 1: 1 thread × share      the machine's own loss
//!   together   processors 0 and 1: 2 threads of one process × share each            what sharing adds to it
//! ```
//!
//! Two processors that share caches, memory or a host are no two machines, and `apart` says by how much.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use brkmap_base::bar::bar;

use super::affinity;
use super::cli::Options;
use super::contender::{Measured, Subject};
use super::process::Result;
use crate::results::scaling::{Scaling, Times, Ways};
use crate::results::{Kind, Sample};
use crate::workloads::{self, Threads, Workload};

/// Of one workload with one allocator; or why there are none.
type Repetitions = Result<Vec<Ways<Times>>>;

/// Who does how much, and where.
struct Plan {
    processors: Vec<usize>,
    /// Percent of a full run that one processor does.
    share: u64,
}

pub fn measure(sets: &mut [Measured], options: &Options, remarks: &mut Vec<String>) {
    let plan = match plan(options) {
        Ok(plan) => plan,
        Err(reason) => {
            eprintln!("matrix: scaling is skipped: {reason}");
            return remarks.push(format!("Scaling was skipped: {reason}."));
        }
    };
    let many: Vec<_> = workloads::ALL.iter().filter(|workload| workload.threads == Threads::Many).collect();
    let subjects: usize = sets.iter().map(|set| set.subjects.len()).sum();
    let progress = bar((subjects * many.len() * options.repetitions()) as u64, "scaling");
    let mut found: BTreeMap<(Kind, usize, &str), Repetitions> = BTreeMap::new();
    // As in the timing: what drifts on a machine meets all allocators.
    for _ in 0..options.repetitions() {
        for workload in &many {
            for set in &*sets {
                for (number, subject) in set.subjects.iter().enumerate() {
                    let samples = found.entry((set.kind, number, workload.name)).or_insert(Ok(Vec::new()));
                    if let Ok(repetitions) = samples {
                        match plan.once(subject, workload) {
                            Ok(once) => repetitions.push(once),
                            Err(reason) => *samples = Err(reason),
                        }
                    }
                    progress.inc(1);
                }
            }
        }
    }
    progress.finish_and_clear();
    for set in sets {
        for (number, subject) in set.subjects.iter_mut().enumerate() {
            for workload in &many {
                match found.remove(&(set.kind, number, workload.name)) {
                    Some(Ok(repetitions)) => {
                        let scaling = Scaling::of(workload.name, plan.processors.len(), &repetitions);
                        subject.allocator.scaling.extend(scaling);
                    }
                    Some(Err(reason)) => {
                        let complaint =
                            format!("scaling of {} with {}: {reason}", workload.name, subject.name());
                        eprintln!("matrix: {complaint}");
                        remarks.push(format!("Not measured: {complaint}."));
                    }
                    None => {}
                }
            }
        }
    }
}

fn plan(options: &Options) -> Result<Plan> {
    let mut processors = affinity::allowed()?;
    let threads = threads(options.threads(), processors.len())?;
    processors.truncate(threads);
    Ok(Plan { processors, share: (options.scale() / threads as u64).max(1) })
}

/// As many threads as have a processor each; an even number, for producers and consumers come in pairs.
fn threads(wanted: usize, processors: usize) -> Result<usize> {
    match wanted.min(processors) & !1 {
        0 => Err(format!("it needs two threads and two processors, and has {wanted} and {processors}")),
        even => Ok(even),
    }
}

impl Plan {
    fn once(&self, subject: &Subject, workload: &Workload) -> Result<Ways<Times>> {
        let threads = self.processors.len();
        let run = |processors: &[usize], threads: usize| {
            let scale = self.share * threads as u64;
            let load = subject.load(&["run", workload.name, &scale.to_string(), &threads.to_string()]);
            affinity::on(processors, || {
                let outcome = load.run()?;
                let sample = outcome.sample;
                outcome.success().map(|_| sample)
            })
        };
        let alone = run(&self.processors[..1], 1)?;
        let ready = Barrier::new(threads);
        let apart: Result<Vec<Sample>> = thread::scope(|scope| {
            let begin = |cpu| {
                let (run, ready) = (&run, &ready);
                scope.spawn(move || {
                    ready.wait();
                    run(std::slice::from_ref(cpu), 1)
                })
            };
            let running: Vec<_> = self.processors.iter().map(begin).collect();
            running.into_iter().map(|one| one.join().expect("no measuring thread panics")).collect()
        });
        let together = run(&self.processors, threads)?;
        Ok(Ways {
            alone: Times::side_by_side(&[alone]),
            apart: Times::side_by_side(&apart?),
            together: Times::side_by_side(&[together]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_has_a_processor_and_a_partner() {
        assert_eq!(threads(2, 2), Ok(2));
        assert_eq!(threads(8, 5), Ok(4));
        assert_eq!(threads(3, 16), Ok(2));
        assert!(threads(1, 2).is_err() && threads(4, 1).unwrap_err().contains("has 4 and 1"));
    }
}
