//! Who runs when.

use fastrand::Rng;

/// Orders of the lanes, a round each: one at random, then the same backwards. Whatever a run leaves behind for the
/// next one, a full cache or a warm processor, each lane is before each other as often as behind it.
pub struct Turns {
    dice: Rng,
    order: Vec<usize>,
    backwards: bool,
}

impl Turns {
    pub fn new(lanes: usize, seed: u64) -> Turns {
        Turns { dice: Rng::with_seed(seed), order: (0..lanes).collect(), backwards: true }
    }
}

impl Iterator for Turns {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        self.backwards = !self.backwards;
        if self.backwards {
            self.order.reverse();
        } else {
            self.dice.shuffle(&mut self.order);
        }
        Some(self.order.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_runs_once_a_round_and_is_as_often_first_as_second() {
        let rounds: Vec<_> = Turns::new(4, 9).take(20).collect();
        for round in &rounds {
            let mut sorted = round.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3]);
        }
        let place = |round: &Vec<usize>, lane| round.iter().position(|&one| one == lane);
        for (one, other) in [(0, 1), (0, 3), (2, 3)] {
            let before = rounds.iter().filter(|round| place(round, one) < place(round, other)).count();
            assert_eq!(before, 10);
        }
        assert!(rounds.windows(3).any(|three| three[0] != three[2]), "the order never changes");
    }

    #[test]
    fn a_seed_gives_the_same_course_again() {
        let course = |seed| Turns::new(5, seed).take(6).collect::<Vec<_>>();
        assert_eq!(course(1), course(1));
        assert_ne!(course(1), course(2));
    }
}
