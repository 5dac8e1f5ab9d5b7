//! The free blocks of a slab, a bit each: found from the lowest address up, without touching a block.
//!
//! ```text
//!   summary   … 0 1 1      bit w: word w is not zero (in the record)
//!   words     │ 0 │ … │    as many as the class has blocks for (beside it, or in a table of their own)
//! ```
#![forbid(unsafe_code)]

use super::starts::CAPACITY;
use crate::arena::Table;
use crate::base::checked::{at_or_end, at_or_end_mut};
use crate::base::size_class::{ByClass, CLASSES};
use crate::base::units::SizeClass;
use core::ops::Range;

/// Words for the blocks of a class, and where they are.
#[inline]
pub fn words(class: SizeClass) -> (usize, Table) {
    let at = class.0 as usize;
    (WORDS[at] as usize, TABLES[at])
}

const WORDS: ByClass<u8> = {
    let mut words = [0; 256];
    let mut class = 0;
    while class < CLASSES {
        words[class] = CAPACITY[class].div_ceil(64) as u8;
        class += 1;
    }
    words
};

const TABLES: ByClass<Table> = {
    let mut tables = [Table::of_bits(0); 256];
    let mut class = 0;
    while class < CLASSES {
        tables[class] = Table::of_bits(WORDS[class] as usize);
        class += 1;
    }
    tables
};

/// At most 64 words, and the summary of them.
pub struct Bitmap<'a> {
    pub summary: &'a mut u64,
    pub words: &'a mut [u64],
}

/// The first bit of a range that is not set.
pub fn first_clear(words: &[u64], range: Range<usize>) -> Option<usize> {
    let mut at = range.start;
    while at < range.end {
        let clear = !at_or_end(words, at / 64) >> (at % 64);
        if clear != 0 {
            return Some(at + clear.trailing_zeros() as usize).filter(|&first| first < range.end);
        }
        at = (at / 64 + 1) * 64;
    }
    None
}

/// Whether a bit is set.
pub fn contains(words: &[u64], at: usize) -> bool {
    at_or_end(words, at / 64) & 1 << (at % 64) != 0
}

impl Bitmap<'_> {
    /// Makes every bit zero.
    pub fn clear(&mut self) {
        *self.summary = 0;
        self.words.fill(0);
    }

    /// Sets a bit. False where it was set already.
    #[inline(always)]
    pub fn insert(&mut self, at: usize) -> bool {
        let word = at_or_end_mut(self.words, at / 64);
        let (before, bit) = (*word, 1 << (at % 64));
        if before & bit != 0 {
            return false;
        }
        *word = before | bit;
        if before == 0 {
            *self.summary |= 1 << (at / 64 % 64);
        }
        true
    }

    /// Takes set bits out, from the lowest up, one for each of `places`.
    #[inline]
    pub fn take<P>(&mut self, mut places: impl ExactSizeIterator<Item = P>, put: impl Fn(P, usize)) {
        while *self.summary != 0 {
            let at = self.summary.trailing_zeros() as usize;
            let mut word = *at_or_end(self.words, at);
            while word != 0 {
                let Some(place) = places.next() else {
                    *at_or_end_mut(self.words, at) = word;
                    return;
                };
                put(place, at * 64 + word.trailing_zeros() as usize);
                word &= word - 1;
            }
            *at_or_end_mut(self.words, at) = 0;
            *self.summary &= *self.summary - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Of the smallest blocks.
    const BITS: usize = 4096;

    /// What a bitmap is made of, full of something.
    fn filled() -> (u64, [u64; BITS / 64]) {
        (u64::MAX, [u64::MAX; BITS / 64])
    }

    fn insert(bitmap: &mut Bitmap, bits: &[usize]) -> bool {
        // All of them, also behind one that was set.
        bits.iter().filter(|&&bit| !bitmap.insert(bit)).count() == 0
    }

    #[test]
    fn a_bit_is_set_once() {
        let (mut summary, mut words) = filled();
        let mut bitmap = Bitmap { summary: &mut summary, words: &mut words };
        bitmap.clear();
        assert!(insert(&mut bitmap, &[4095, 7]));
        assert!(!insert(&mut bitmap, &[1, 4095]) && insert(&mut bitmap, &[0]));
        assert_eq!(lowest(&mut bitmap, 9), [0, 1, 7, 4095]);
        assert!(!insert(&mut bitmap, &[5, 5]));
    }

    fn lowest(bitmap: &mut Bitmap, count: usize) -> Vec<usize> {
        let got = std::cell::RefCell::new(Vec::new());
        bitmap.take(0..count, |_, at| got.borrow_mut().push(at));
        got.into_inner()
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 1 } else { 64 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn it_agrees_with_a_set(steps in prop::collection::vec(
            (prop::collection::btree_set(0..BITS, 0..40), 0usize..40), 0..if cfg!(miri) { 4 } else { 60 },
        )) {
            let (mut summary, mut words) = filled();
            let (mut bitmap, mut set) =
                (Bitmap { summary: &mut summary, words: &mut words }, BTreeSet::new());
            bitmap.clear();
            for (more, count) in steps {
                let more: Vec<usize> = more.into_iter().filter(|&at| set.insert(at)).collect();
                prop_assert!(insert(&mut bitmap, &more));
                prop_assert!((0..BITS).all(|at| contains(bitmap.words, at) == set.contains(&at)));
                let expected: Vec<usize> = set.iter().copied().take(count).collect();
                prop_assert_eq!(&lowest(&mut bitmap, count), &expected);
                set.retain(|at| !expected.contains(at));
            }
        }
    }
}
