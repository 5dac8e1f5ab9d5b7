//! What threads of one process cost each other.

use serde::{Deserialize, Serialize};

use super::Sample;
use crate::statistics::median;

/// Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Times {
    pub wall_ms: f64,
    /// User and system time of all processors together.
    pub cpu_ms: f64,
}

impl Times {
    /// Of processes that ran side by side: the last one ends it.
    pub fn side_by_side(samples: &[Sample]) -> Times {
        Times {
            wall_ms: samples.iter().map(|sample| sample.wall_ms).fold(0.0, f64::max),
            cpu_ms: samples.iter().map(|sample| sample.user_ms + sample.system_ms).sum(),
        }
    }

    fn middle(all: &[Times]) -> Option<Times> {
        let of = |time: fn(&Times) -> f64| median(&all.iter().map(time).collect::<Vec<_>>());
        Some(Times { wall_ms: of(|times| times.wall_ms)?, cpu_ms: of(|times| times.cpu_ms)? })
    }
}

/// The ways to do a share of a workload for each processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ways<T> {
    /// One share on one processor, and nothing on the others.
    pub alone: T,
    /// A share on each processor, each in a process of its own.
    pub apart: T,
    /// A share on each processor, all in threads of one process.
    pub together: T,
}

/// A workload of many threads: medians over the repetitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    pub workload: String,
    pub threads: usize,
    #[serde(flatten)]
    pub times: Ways<Times>,
}

impl Scaling {
    /// `None` of no repetition.
    pub fn of(workload: &str, threads: usize, repetitions: &[Ways<Times>]) -> Option<Scaling> {
        let middle =
            |way: fn(&Ways<Times>) -> Times| Times::middle(&repetitions.iter().map(way).collect::<Vec<_>>());
        let times = Ways {
            alone: middle(|ways| ways.alone)?,
            apart: middle(|ways| ways.apart)?,
            together: middle(|ways| ways.together)?,
        };
        Some(Scaling { workload: workload.into(), threads, times })
    }

    /// 1 where a thread does not notice the others, 1/threads where only one works at a time; then the same of
    /// processes, which share nothing but the machine.
    pub fn wall(&self) -> (f64, f64) {
        let Ways { alone, apart, together } = &self.times;
        (alone.wall_ms / together.wall_ms, alone.wall_ms / apart.wall_ms)
    }

    /// 1 where the threads together need no more processor time than as many of them alone; then the same of
    /// processes.
    pub fn cpu(&self) -> (f64, f64) {
        let Ways { alone, apart, together } = &self.times;
        let alone = alone.cpu_ms * self.threads as f64;
        (alone / together.cpu_ms, alone / apart.cpu_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(alone: f64, apart: f64, together: f64) -> Ways<Times> {
        let times = |wall_ms: f64, processors: f64| Times { wall_ms, cpu_ms: wall_ms * processors };
        Ways { alone: times(alone, 1.0), apart: times(apart, 2.0), together: times(together, 1.0) }
    }

    #[test]
    fn efficiency_is_of_the_medians() {
        let all = [ways(100.0, 125.0, 200.0), ways(90.0, 900.0, 100.0), ways(110.0, 120.0, 210.0)];
        let scaling = Scaling::of("churn", 2, &all).unwrap();
        assert_eq!(scaling.wall(), (0.5, 0.8));
        assert_eq!(scaling.cpu(), (1.0, 0.8));
        assert_eq!(Scaling::of("churn", 2, &[]), None);
    }

    #[test]
    fn side_by_side_the_last_ends_it_and_all_used_the_processors() {
        let sample = |wall_ms| Sample { user_ms: 3.0, system_ms: 1.0, wall_ms, ..Sample::default() };
        let times = Times::side_by_side(&[sample(5.0), sample(9.0)]);
        assert_eq!(times, Times { wall_ms: 9.0, cpu_ms: 8.0 });
    }
}
