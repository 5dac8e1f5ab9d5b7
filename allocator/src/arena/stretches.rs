//! The stretches of granules that the arena was given: few, because growth is contiguous.
//!
//! ```text
//!   │ stretch │ hole: others' │ stretch         │→ the arena's end
//! ```
//!
//! A fork may copy them between any two stores of another thread, and what they name has to be there in the
//! child: a stretch is noted after its memory was gained and described, and forgotten before it is given
//! back. Each row is right, or says nothing: where its end is not above its start it is none.

use crate::row::Row;
use core::ops::Range;
use core::sync::atomic::{Ordering, compiler_fence};

/// Stretches that can be noted.
const STRETCHES: usize = 64;

/// Granules of a hole that may be described as one: their entries are written.
const HOLE_MAX: u32 = 1 << 14;

#[derive(Clone, Copy)]
pub struct Stretches {
    rows: Row<(u32, u32), STRETCHES>,
    count: usize,
}

impl Stretches {
    pub const fn new() -> Self {
        Stretches { rows: Row([(0, 0); STRETCHES]), count: 0 }
    }

    pub fn iter(&self) -> impl Iterator<Item = Range<u32>> {
        self.rows.0.iter().map(|&(from, to)| from..to).filter(|stretch| !stretch.is_empty())
    }

    /// The hole below `from` that must become a part of the last stretch, because there is no place for
    /// one more: empty where there is place, None where it is too large to be described.
    pub fn hole_to_fill(&self, from: u32) -> Option<Range<u32>> {
        match self.rows.0 {
            [.., (_, to)] if self.count == STRETCHES => (from - to <= HOLE_MAX).then_some(to..from),
            _ => Some(from..from),
        }
    }

    /// Notes granules that were gained and described; the hole below them was filled where it had to be.
    pub fn note(&mut self, from: u32, to: u32) {
        // Fences of the compiler only, here and below: a fork's copy sees one thread's stores in program
        // order.
        compiler_fence(Ordering::Release);
        match self.count.checked_sub(1) {
            Some(last) if self.rows[last].1 == from || self.count == STRETCHES => self.rows[last].1 = to,
            _ => {
                self.rows[self.count].0 = from;
                compiler_fence(Ordering::Release);
                self.rows[self.count].1 = to;
                self.count += 1;
            }
        }
    }

    /// Where the arena ends once everything from `start` on is given back: at `start`, or where the
    /// stretch before ends if it is the first granule of its own.
    pub fn end_below(&self, start: u32) -> u32 {
        match self.rows.first(self.count) {
            [.., (_, before), (first, _)] if *first == start => *before,
            _ => start,
        }
    }

    /// Nothing from `end` on is the arena's from now on.
    pub fn forget_above(&mut self, end: u32) {
        while let Some(last) = self.count.checked_sub(1) {
            let row = &mut self.rows[last];
            row.1 = row.1.min(end);
            if row.0 < row.1 {
                break;
            }
            self.count = last;
        }
        compiler_fence(Ordering::Release);
    }

    /// In a fork's child: counts the rows anew.
    pub fn settle(&mut self) {
        let mut settled = Stretches::new();
        for stretch in self.iter() {
            settled.note(stretch.start, stretch.end);
        }
        *self = settled;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(stretches: &Stretches) -> Vec<(u32, u32)> {
        stretches.iter().map(|stretch| (stretch.start, stretch.end)).collect()
    }

    #[test]
    fn what_touches_is_one_and_what_goes_is_forgotten() {
        let mut stretches = Stretches::new();
        for (from, to) in [(1, 5), (5, 9), (20, 30), (40, 50)] {
            stretches.note(from, to);
        }
        assert_eq!(noted(&stretches), [(1, 9), (20, 30), (40, 50)]);
        assert_eq!((stretches.end_below(45), stretches.end_below(40), stretches.end_below(1)), (45, 30, 1));
        stretches.forget_above(25);
        assert_eq!(noted(&stretches), [(1, 9), (20, 25)]);
        stretches.note(25, 26);
        stretches.note(28, 29);
        assert_eq!(noted(&stretches), [(1, 9), (20, 26), (28, 29)]);
        stretches.forget_above(1);
        assert_eq!(noted(&stretches), []);
    }

    #[test]
    fn without_a_place_for_one_more_the_last_one_takes_the_hole() {
        let mut stretches = Stretches::new();
        for at in 0..STRETCHES as u32 {
            assert_eq!(stretches.hole_to_fill(at * 10), Some(at * 10..at * 10));
            stretches.note(at * 10, at * 10 + 1);
        }
        let last = STRETCHES as u32 * 10 - 9;
        assert_eq!(stretches.hole_to_fill(1000), Some(last..1000));
        assert_eq!(stretches.hole_to_fill(last + HOLE_MAX + 1), None);
        stretches.note(1000, 1001);
        assert_eq!(noted(&stretches).last(), Some(&(last - 1, 1001)));
    }

    /// A copy between any two stores: each row is as it was, or as it will be, or none.
    #[test]
    fn torn_rows_are_none_and_are_counted_out() {
        let mut stretches = Stretches::new();
        stretches.note(1, 9);
        stretches.note(20, 30);
        let mut noting = stretches;
        noting.rows[2].0 = 40;
        noting.settle();
        assert_eq!((noted(&noting), noting.count), (vec![(1, 9), (20, 30)], 2));
        let mut uncounted = stretches;
        uncounted.rows[2] = (40, 50);
        uncounted.settle();
        assert_eq!((noted(&uncounted), uncounted.count), (vec![(1, 9), (20, 30), (40, 50)], 3));
        let mut forgetting = stretches;
        forgetting.rows[1].1 = 5;
        forgetting.settle();
        assert_eq!((noted(&forgetting), forgetting.count), (vec![(1, 9)], 1));
    }
}
