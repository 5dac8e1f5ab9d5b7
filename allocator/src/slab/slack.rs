//! The slack of a heap: bytes that came back to its slabs since their free pages were last purged. It says
//! when a round is worth its while; how many of them make whole pages, only a look tells.

use crate::config::{SLACK_LEAST, SLACK_STEP};

pub struct Slack {
    /// The fewest dirty bytes there were since the last round: those that no round can purge, or that are
    /// used again.
    least: usize,
    /// The slack that was last said.
    said: usize,
    /// The heap has been sparse since a round.
    purged: bool,
}

/// What is to be said of a slack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Worth {
    Nothing,
    /// A look at the slack of all heaps.
    Look,
    /// A round through this heap, whatever others have.
    Round,
}

impl Slack {
    pub const fn new() -> Slack {
        Slack { least: 0, said: 0, purged: false }
    }

    /// Whether there is anything to forget: mostly not.
    #[inline]
    pub fn is_known(&self) -> bool {
        self.least + self.said > 0 || self.purged
    }

    /// Of a heap that is not sparse: pages that hold free blocks are about to be used again.
    pub fn none(&mut self, dirty: usize) {
        *self = Slack { least: self.least.min(dirty), said: 0, purged: false };
    }

    /// The slack of a sparse heap with so many free bytes that have memory behind them, and so many in use.
    pub fn note(&mut self, dirty: usize, used: usize) -> (usize, Worth) {
        self.least = self.least.min(dirty);
        let slack = dirty - self.least;
        // Blocks were taken since it was said.
        self.said = self.said.min(slack);
        if self.purged && slack >= SLACK_LEAST.max(used / 4) {
            return (slack, Worth::Round);
        }
        if slack < self.said + SLACK_STEP {
            return (slack, Worth::Nothing);
        }
        self.said = slack;
        (slack, Worth::Look)
    }

    /// A round left so many free bytes that have memory behind them.
    pub fn purged(&mut self, dirty: usize) {
        *self = Slack { least: dirty, said: 0, purged: true };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_heap_that_empties_itself_says_so_by_steps() {
        let mut slack = Slack::new();
        assert_eq!(slack.note(SLACK_STEP - 1, MIB), (SLACK_STEP - 1, Worth::Nothing));
        assert_eq!(slack.note(SLACK_STEP, MIB), (SLACK_STEP, Worth::Look));
        assert_eq!(slack.note(SLACK_STEP + 1, MIB), (SLACK_STEP + 1, Worth::Nothing));
        // Taken and given back: it is as much as was said.
        assert_eq!(slack.note(100, MIB), (100, Worth::Nothing));
        assert_eq!(slack.note(SLACK_STEP + 100, MIB).1, Worth::Look);
    }

    #[test]
    fn behind_a_round_what_came_back_since_counts() {
        let mut slack = Slack::new();
        slack.note(9 * MIB, MIB);
        slack.purged(3 * MIB);
        assert_eq!(slack.note(3 * MIB + 100, MIB), (100, Worth::Nothing));
        assert_eq!(slack.note(3 * MIB + SLACK_LEAST, MIB), (SLACK_LEAST, Worth::Round));
        // Of what is in use, a quarter.
        assert_eq!(slack.note(3 * MIB + SLACK_LEAST, 8 * MIB), (SLACK_LEAST, Worth::Nothing));
    }

    #[test]
    fn what_is_used_again_and_comes_back_counts_once_more() {
        let mut slack = Slack::new();
        slack.purged(3 * MIB);
        slack.none(MIB);
        slack.none(2 * MIB);
        assert_eq!(slack.note(3 * MIB, MIB), (2 * MIB, Worth::Look));
    }
}
