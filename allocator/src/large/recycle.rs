//! Recycling: whether large blocks go on huge pages.
//!
//! A program's first large blocks do not, below 16 MiB: of those only what it touches is resident. A program
//! that gives large blocks back and takes them again pays for a fault at each page, and a huge page is one
//! fault for 512. A new block of 16 MiB or more goes on huge pages at once: most programs that take one fill
//! it.
//!
//! Freed large bytes earn credit, at most 256 MiB. With 32 MiB of credit a mapping no longer than the credit
//! goes on huge pages, and spends half of its fresh length. So a program that goes on recycling is never
//! short of credit, and one that freed once gets twice that much at most. So it is by default: the key
//! `huge_pages` has none go on huge pages, or all.
#![forbid(unsafe_code)]

use crate::base::builder::HugePages;
use crate::base::config::HUGE_PAGE;

/// The credit from which on a program is recycling.
const AFTER: usize = 32 << 20;

/// The most credit. What was freed long ago says little, and pages that were never touched count too. A
/// longer block is never on huge pages.
const MOST: usize = 256 << 20;

/// A new mapping from here on, up to `MOST`, goes on huge pages without credit.
const LONG: usize = 16 << 20;

/// The shortest end of a mapping that is made a whole huge page. Many sizes are a power of two plus a header,
/// and stay what they are.
const TAIL_MIN: usize = HUGE_PAGE / 16;

/// Which pages large blocks go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pages {
    Small,
    Huge,
}

pub struct Recycle {
    /// In bytes.
    credit: usize,
    /// Some mapping went on huge pages.
    on: bool,
    which: HugePages,
}

impl Recycle {
    pub const fn new() -> Self {
        Recycle { credit: 0, on: false, which: HugePages::Recycled }
    }

    /// Which large blocks are to go on huge pages from now on.
    pub fn follow(&mut self, which: HugePages) {
        self.which = which;
    }

    /// Earns credit for bytes that were unmapped.
    pub fn earn(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_add(bytes).min(MOST);
    }

    /// Whether a mapping of `len` bytes goes on huge pages. If so, half of its `fresh` bytes are spent.
    pub fn spend(&mut self, len: usize, fresh: usize) -> bool {
        let huge = len >= HUGE_PAGE && self.covers(len);
        if huge {
            self.credit = self.credit.saturating_sub(fresh.min(len) / 2);
            self.on = true;
        }
        huge
    }

    /// Whether a mapping of `len` bytes, all of them fresh, goes on huge pages whatever the credit.
    pub fn takes_long(&mut self, len: usize) -> bool {
        let huge = self.which != HugePages::Off && (LONG..=MOST).contains(&len);
        self.on |= huge;
        huge
    }

    /// Huge ones if the program recycles, or did. Then the cache keeps huge pages whole, and a part of a
    /// mapping that is longer than its bound.
    pub fn pages(&self) -> Pages {
        let huge = match self.which {
            HugePages::Off => false,
            HugePages::Recycled => self.on || self.credit >= AFTER,
            HugePages::Always => true,
        };
        if huge { Pages::Huge } else { Pages::Small }
    }

    fn covers(&self, len: usize) -> bool {
        match self.which {
            HugePages::Off => false,
            HugePages::Recycled => self.credit >= len.max(AFTER),
            HugePages::Always => true,
        }
    }

    /// The length of a mapping for `len` bytes: whole huge pages, where that is at most half as much again.
    pub fn length(&self, len: usize) -> usize {
        let tail = len % HUGE_PAGE;
        let longer = HUGE_PAGE - tail;
        let whole = tail >= TAIL_MIN && longer <= len / 2 && self.covers(len + longer);
        if whole { len + longer } else { len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_blocks_are_on_small_pages_and_recycled_ones_on_huge_pages() {
        let mut recycle = Recycle::new();
        let (page, len) = (4096, 5 << 20);
        let mut rounds = 0;
        assert!(recycle.pages() == Pages::Small);
        while !recycle.spend(len, len) {
            assert_eq!(recycle.length(len), len, "round {rounds}");
            recycle.earn(len);
            rounds += 1;
        }
        assert_eq!(rounds, AFTER.div_ceil(len));
        for _ in 0..100 {
            recycle.earn(len);
            assert!(recycle.spend(len, len), "what goes on stays on huge pages");
            assert!(recycle.pages() == Pages::Huge);
        }
        assert_eq!(recycle.length(len), 6 << 20);
        for same in [1 << 20, 2 << 20, (2 << 20) + page, (2 << 20) + TAIL_MIN, (64 << 20) + page] {
            assert_eq!(recycle.length(same), same, "{same} bytes would become too many");
        }
        assert_eq!(recycle.length(3 << 19), HUGE_PAGE);
    }

    #[test]
    fn who_wants_none_gets_none_and_who_wants_all_gets_all() {
        let mut recycle = Recycle::new();
        recycle.earn(64 << 30);
        recycle.follow(HugePages::Off);
        assert!(!recycle.spend(8 << 20, 8 << 20) && recycle.pages() == Pages::Small);
        assert_eq!(recycle.length(5 << 20), 5 << 20);
        let mut recycle = Recycle::new();
        recycle.follow(HugePages::Always);
        assert!(recycle.spend(8 << 20, 8 << 20) && recycle.spend(1 << 30, 1 << 30));
        assert!(!recycle.spend(1 << 20, 1 << 20), "it is shorter than a huge page");
        assert_eq!((recycle.length(5 << 20), recycle.pages()), (6 << 20, Pages::Huge));
    }

    #[test]
    fn a_long_one_needs_no_credit() {
        let mut recycle = Recycle::new();
        assert!(!recycle.takes_long(LONG - 1) && recycle.pages() == Pages::Small);
        assert!(recycle.takes_long(LONG) && recycle.pages() == Pages::Huge);
        assert!(recycle.takes_long(MOST) && !recycle.takes_long(MOST + 1));
        assert_eq!(recycle.length(LONG + HUGE_PAGE / 2), LONG + HUGE_PAGE / 2, "it is no longer for that");
        recycle.follow(HugePages::Off);
        assert!(!recycle.takes_long(LONG));
    }

    #[test]
    fn what_was_given_back_once_is_soon_spent() {
        let mut recycle = Recycle::new();
        recycle.earn(64 << 30);
        assert!(!recycle.spend(MOST + 1, 1), "the whole mapping counts, however little of it is new");
        let huge = (0..1000).filter(|_| recycle.spend(8 << 20, 8 << 20)).count() * (8 << 20);
        assert!((MOST..2 * MOST).contains(&huge), "{huge} bytes");
        assert!(!recycle.spend(HUGE_PAGE - 1, 1) && recycle.pages() == Pages::Huge);
    }
}
