//! The slack of a heap: bytes that came back to its slabs since their free pages were last purged. It says
//! when a round is worth its while; how many of them make whole pages, only a look tells.

use crate::base::config::{SLACK_LEAST, SLACK_STEP};

pub struct Slack {
    /// The fewest dirty bytes there were since the last round: those that no round can purge, or that are
    /// used again.
    least: usize,
    /// A sparse heap is asked when fewer bytes are in use than these.
    below: usize,
    /// And when fewer are dirty, because slabs of them went whole.
    dirty_below: usize,
    /// Bytes that were in use behind the last round, unless twice as many were since.
    purged_at: usize,
    /// There is something to forget when it is sparse no more.
    known: bool,
}

/// What a slack calls for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Worth {
    /// A look at the slack of all heaps.
    Look,
    /// A round through this heap, whatever others have.
    Round,
}

impl Slack {
    pub const fn new() -> Slack {
        Slack { least: 0, below: usize::MAX, dirty_below: 0, purged_at: 0, known: false }
    }

    /// Whether a sparse heap that uses so many bytes, and has so many dirty ones, has something to note:
    /// mostly not.
    #[inline]
    pub fn asks_sparse(&self, dirty: usize, used: usize) -> bool {
        used < self.below || dirty < self.dirty_below
    }

    /// Whether a heap that is not sparse has something to forget: mostly not.
    #[inline]
    pub fn asks_dense(&self) -> bool {
        self.known
    }

    pub fn below(&self) -> usize {
        self.below
    }

    /// Notes that a heap is not sparse, with so many free bytes that have memory behind them: they are
    /// about to be used again.
    pub fn forget(&mut self, dirty: usize, used: usize) {
        let least = self.least.min(dirty);
        let purged_at = if used > self.purged_at.saturating_mul(2) { 0 } else { self.purged_at };
        *self = Slack { least, purged_at, known: least > 0 || purged_at > 0, ..Slack::new() };
    }

    /// Notes what a sparse heap has, and says its slack.
    pub fn note(&mut self, dirty: usize, used: usize) -> (usize, Worth) {
        self.least = self.least.min(dirty);
        self.known = true;
        self.ask_below(dirty, used);
        let slack = dirty - self.least;
        let round = self.purged_at > 0 && slack >= SLACK_LEAST.max(used / 4);
        (slack, if round { Worth::Round } else { Worth::Look })
    }

    /// Pages are used again that were clean.
    pub fn note_used(&mut self) {
        self.below = usize::MAX;
    }

    /// A round left so many free bytes that have memory behind them.
    pub fn purged(&mut self, dirty: usize, used: usize) {
        *self = Slack { least: dirty, purged_at: used, known: true, ..Slack::new() };
        self.ask_below(dirty, used);
    }

    /// A sparse heap is asked again when either is a step less.
    fn ask_below(&mut self, dirty: usize, used: usize) {
        self.below = used.saturating_sub(SLACK_STEP);
        self.dirty_below = dirty.saturating_sub(SLACK_STEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_heap_that_empties_itself_is_asked_by_steps() {
        let mut slack = Slack::new();
        assert!(!slack.asks_dense() && slack.asks_sparse(4 * MIB, MIB));
        assert_eq!(slack.note(4 * MIB, MIB), (4 * MIB, Worth::Look));
        assert!(
            !slack.asks_sparse(4 * MIB, MIB - SLACK_STEP) && slack.asks_sparse(4 * MIB, MIB - SLACK_STEP - 1)
        );
        slack.note_used();
        assert!(slack.asks_sparse(4 * MIB, MIB));
    }

    #[test]
    fn a_heap_whose_slabs_go_whole_says_so_though_little_is_in_use() {
        let mut slack = Slack::new();
        slack.note(4 * MIB, SLACK_STEP / 2);
        assert!(
            !slack.asks_sparse(4 * MIB - SLACK_STEP, 0) && slack.asks_sparse(4 * MIB - SLACK_STEP - 1, 0)
        );
        assert_eq!(slack.note(3 * MIB, 0), (3 * MIB, Worth::Look));
        assert!(!slack.asks_sparse(3 * MIB, 0));
        slack.purged(2 * MIB, 0);
        assert!(!slack.asks_sparse(2 * MIB, 0) && slack.asks_sparse(MIB, 0));
    }

    #[test]
    fn behind_a_round_what_came_back_since_counts() {
        let mut slack = Slack::new();
        slack.note(9 * MIB, MIB);
        slack.purged(3 * MIB, MIB);
        assert!(!slack.asks_sparse(4 * MIB, MIB));
        assert_eq!(slack.note(3 * MIB + 100, MIB), (100, Worth::Look));
        assert_eq!(slack.note(3 * MIB + SLACK_LEAST, MIB), (SLACK_LEAST, Worth::Round));
        // Of what is in use, a quarter.
        assert_eq!(slack.note(3 * MIB + SLACK_LEAST, 8 * MIB), (SLACK_LEAST, Worth::Look));
    }

    #[test]
    fn what_is_used_again_and_comes_back_counts_once_more() {
        let mut slack = Slack::new();
        slack.purged(3 * MIB, MIB);
        assert!(slack.asks_dense());
        slack.forget(MIB, MIB);
        slack.forget(2 * MIB, MIB);
        assert_eq!(slack.note(3 * MIB, MIB), (2 * MIB, Worth::Round));
    }

    #[test]
    fn a_heap_that_uses_all_again_is_asked_no_more() {
        let mut slack = Slack::new();
        slack.purged(3 * MIB, MIB);
        slack.forget(0, 2 * MIB);
        assert!(slack.asks_dense());
        slack.forget(0, 2 * MIB + 1);
        assert!(!slack.asks_dense());
    }
}
