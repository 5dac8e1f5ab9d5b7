//! What threads of one process cost each other.

use serde::{Deserialize, Serialize};

use crate::statistics::median;

/// Wall times of one repetition, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Walls {
    pub alone: f64,
    pub apart: f64,
    pub together: f64,
}

/// A workload of many threads, with the same share of work for each processor: medians of the wall times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    pub workload: String,
    pub threads: usize,
    /// One share on one processor, and nothing on the others.
    pub alone_ms: f64,
    /// A share on each processor, each in a process of its own.
    pub apart_ms: f64,
    /// A share on each processor, all in threads of one process.
    pub together_ms: f64,
}

impl Scaling {
    /// `None` of no repetition.
    pub fn of(workload: &str, threads: usize, walls: &[Walls]) -> Option<Scaling> {
        let middle = |wall: fn(&Walls) -> f64| median(&walls.iter().map(wall).collect::<Vec<_>>());
        Some(Scaling {
            workload: workload.into(),
            threads,
            alone_ms: middle(|walls| walls.alone)?,
            apart_ms: middle(|walls| walls.apart)?,
            together_ms: middle(|walls| walls.together)?,
        })
    }

    /// 1 where a thread does not notice the others; 1/threads where only one works at a time.
    pub fn efficiency(&self) -> f64 {
        self.alone_ms / self.together_ms
    }

    /// What is lost by processes that share nothing but the machine.
    pub fn machine(&self) -> f64 {
        self.alone_ms / self.apart_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn efficiency_is_of_the_medians() {
        let walls = |alone, apart, together| Walls { alone, apart, together };
        let all = [walls(100.0, 125.0, 200.0), walls(90.0, 900.0, 100.0), walls(110.0, 120.0, 210.0)];
        let scaling = Scaling::of("churn", 2, &all).unwrap();
        assert_eq!((scaling.efficiency(), scaling.machine()), (0.5, 0.8));
        assert_eq!(Scaling::of("churn", 2, &[]), None);
    }
}
