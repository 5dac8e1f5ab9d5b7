//! The race itself: rounds in which each lane runs once, until the answer is sure enough or the time is up.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::interval::{self, Interval};
use crate::sample::{Quantity, Sample};
use crate::turns::Turns;

/// When to stop, and by which dice.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds before an interval counts as narrow: the first ones are narrow by luck.
    pub least: usize,
    pub most: usize,
    pub time: Duration,
    /// An interval is narrow when it is no wider, as a part of the ratio.
    pub width: f64,
    pub seed: u64,
}

/// Why it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Every interval is narrow enough.
    Narrow,
    OutOfTime,
    OutOfRounds,
    Interrupted,
}

/// Why a run has no sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is out of the race, with this reason; the others go on.
    Out(String),
    /// The user wants no more.
    Interrupted,
}

/// What one lane did.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    /// A sample a round, up to that in which it failed.
    pub samples: Vec<Sample>,
    pub failure: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Course {
    pub lanes: Vec<Lane>,
    pub ended: Ended,
    pub rounds: usize,
}

impl Course {
    /// The ratio of one lane to another.
    pub fn interval(&self, quantity: Quantity, lane: usize, to: usize, seed: u64) -> Option<Interval> {
        interval::of_median(&quantity.ratios(&self.lanes[lane].samples, &self.lanes[to].samples), seed)
    }

    fn running(&self) -> impl Iterator<Item = usize> {
        (0..self.lanes.len()).filter(|&lane| self.lanes[lane].failure.is_none())
    }

    /// The widest interval of CPU among the lanes that run; `None` as long as one has none.
    fn widest(&self, reference: usize, seed: u64) -> Option<f64> {
        let others = self.running().filter(|&lane| lane != reference);
        let widths = others.map(|lane| Some(self.interval(Quantity::Cpu, lane, reference, seed)?.width()));
        widths.collect::<Option<Vec<_>>>().map(|widths| widths.into_iter().fold(0.0, f64::max))
    }
}

/// Runs the lanes in turn. `once` is a timed run of a lane; `tell` is called before each run with the rounds that are
/// done and the part of the time that is used up.
pub fn run(
    plan: &Plan,
    lanes: usize,
    reference: usize,
    mut once: impl FnMut(usize) -> Result<Sample, Failure>,
    mut tell: impl FnMut(usize, f64),
) -> Course {
    let mut course = Course { lanes: vec![Lane::default(); lanes], ended: Ended::OutOfRounds, rounds: 0 };
    let began = Instant::now();
    let used = || began.elapsed().as_secs_f64() / plan.time.as_secs_f64().max(1e-9);
    for order in Turns::new(lanes, plan.seed).take(plan.most) {
        let mut round = vec![None; lanes];
        for lane in order {
            if course.lanes[lane].failure.is_some() {
                continue;
            }
            tell(course.rounds, used());
            match once(lane) {
                Ok(sample) => round[lane] = Some(sample),
                Err(Failure::Out(reason)) => course.lanes[lane].failure = Some(reason),
                Err(Failure::Interrupted) => return Course { ended: Ended::Interrupted, ..course },
            }
        }
        if course.running().next().is_none() {
            break;
        }
        course.rounds += 1;
        for (lane, sample) in course.lanes.iter_mut().zip(round) {
            lane.samples.extend(sample);
        }
        if is_due(course.rounds)
            && course.rounds >= plan.least
            && course.widest(reference, plan.seed).is_some_and(|widest| widest <= plan.width)
        {
            return Course { ended: Ended::Narrow, ..course };
        }
        // A round that would end beyond the time does not begin.
        if used() * (1.0 + 1.0 / course.rounds as f64) > 1.0 {
            return Course { ended: Ended::OutOfTime, ..course };
        }
    }
    course
}

/// The intervals of many rounds take long to look at, and change little with one round more.
fn is_due(rounds: usize) -> bool {
    rounds.is_multiple_of((rounds / 16).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { least: 6, most: 400, time: Duration::from_secs(600), width: 0.02, seed: 1 };

    fn cpu(user_ms: f64) -> Result<Sample, Failure> {
        Ok(Sample { user_ms, ..Sample::default() })
    }

    #[test]
    fn it_stops_when_the_answer_is_sure_and_goes_on_while_it_is_not() {
        let mut dice = fastrand::Rng::with_seed(3);
        // What a machine does to a round it does to both: the ratio stays.
        let mut run_with = |noise: f64| {
            let dice = &mut dice;
            run(&PLAN, 2, 0, |lane| cpu([100.0, 80.0][lane] * (1.0 + noise * (dice.f64() - 0.5))), |_, _| {})
        };
        let (quiet, busy) = (run_with(0.01), run_with(0.2));
        assert_eq!((quiet.ended, quiet.rounds), (Ended::Narrow, 6));
        assert!(busy.rounds > 3 * quiet.rounds, "{}", busy.rounds);
    }

    /// Who stops when the interval is narrow stops a little too often when it is narrow by luck.
    #[test]
    fn the_interval_that_it_stops_with_holds_the_truth_most_times() {
        const TIMES: u64 = 150;
        let mut dice = fastrand::Rng::with_seed(5);
        let plan = Plan { width: 0.03, least: 10, ..PLAN };
        let held = (0..TIMES)
            .filter(|&seed| {
                let once = |lane: usize| cpu([100.0, 80.0][lane] * (1.0 + 0.1 * (dice.f64() - 0.5)));
                let course = run(&Plan { seed, ..plan }, 2, 0, once, |_, _| {});
                assert_eq!(course.ended, Ended::Narrow);
                course.interval(Quantity::Cpu, 1, 0, seed).is_some_and(|interval| interval.holds(0.8))
            })
            .count();
        assert!(held as f64 / TIMES as f64 > 0.91, "{held} of {TIMES}");
    }

    #[test]
    fn time_and_rounds_have_an_end() {
        let wide = |lane: usize| cpu(if lane == 0 { 100.0 } else { 50.0 });
        let none = Plan { time: Duration::ZERO, ..PLAN };
        let course = run(&none, 2, 0, wide, |_, _| {});
        assert_eq!((course.ended, course.rounds), (Ended::OutOfTime, 1));
        let few = Plan { most: 4, ..PLAN };
        assert_eq!(run(&few, 2, 0, wide, |_, _| {}).ended, Ended::OutOfRounds);
    }

    #[test]
    fn who_fails_is_out_and_the_others_lose_nothing() {
        let mut runs = 0;
        let course = run(
            &PLAN,
            3,
            0,
            |lane| {
                runs += usize::from(lane == 2);
                if lane == 2 && runs == 3 { Err(Failure::Out("exit code 3".into())) } else { cpu(50.0) }
            },
            |_, _| {},
        );
        assert_eq!(course.lanes[2].failure.as_deref(), Some("exit code 3"));
        assert_eq!((course.lanes[2].samples.len(), runs), (2, 3));
        assert_eq!((course.ended, course.lanes[1].samples.len()), (Ended::Narrow, 6));
        let none = run(&PLAN, 2, 0, |_| Err(Failure::Out("no".into())), |_, _| {});
        assert_eq!(none.rounds, 0);
    }

    #[test]
    fn a_round_that_was_interrupted_counts_for_nobody() {
        let mut left = 5;
        let course = run(
            &PLAN,
            2,
            0,
            |_| {
                left -= 1;
                if left == 0 { Err(Failure::Interrupted) } else { cpu(1.0) }
            },
            |_, _| {},
        );
        assert_eq!((course.ended, course.rounds), (Ended::Interrupted, 2));
        assert!(course.lanes.iter().all(|lane| lane.samples.len() == 2));
    }
}
