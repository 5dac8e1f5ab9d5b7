//! The free blocks of a slab, a bit each: found from the lowest address up, without touching a block.

use crate::config::GRANULE;
use crate::row::Row;
use core::ops::Range;

/// The most blocks a slab has: of 16 bytes.
pub const BITS: usize = GRANULE / 16;
const WORDS: usize = BITS / 64;

#[repr(C)]
pub struct Bitmap {
    /// Bit `w`: word `w` is not zero.
    summary: u64,
    words: Row<u64, WORDS>,
}

const _: () = assert!(WORDS == 64);

impl Bitmap {
    /// Makes every bit of the first `count` zero: there are no others where a slab has no more blocks.
    pub fn clear(&mut self, count: usize) {
        self.summary = 0;
        for word in 0..count.div_ceil(64) {
            self.words[word] = 0;
        }
    }

    /// Sets a bit, of those below `BITS`: others are taken modulo it, for an index that needs no test. False
    /// where it was set already.
    #[inline]
    pub fn insert(&mut self, at: usize) -> bool {
        let (word, bit) = (&mut self.words.0[at / 64 % WORDS], 1 << (at % 64));
        let new = *word & bit == 0;
        *word |= bit;
        self.summary |= 1 << (at / 64 % WORDS);
        new
    }

    /// The first bit of a range that is not set.
    pub fn first_clear(&self, range: Range<usize>) -> Option<usize> {
        let mut at = range.start;
        while at < range.end {
            let clear = !self.words[at / 64] >> (at % 64);
            if clear != 0 {
                return Some(at + clear.trailing_zeros() as usize).filter(|&first| first < range.end);
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }

    /// Whether a bit is set, of those below `BITS`.
    pub fn contains(&self, at: usize) -> bool {
        self.words[at / 64] & 1 << (at % 64) != 0
    }

    /// Takes set bits out, from the lowest up, one for each of `places`.
    #[inline]
    pub fn take<P>(&mut self, mut places: impl ExactSizeIterator<Item = P>, put: impl Fn(P, usize)) {
        while self.summary != 0 {
            let at = self.summary.trailing_zeros() as usize;
            let mut word = self.words[at];
            while word != 0 {
                let Some(place) = places.next() else {
                    self.words[at] = word;
                    return;
                };
                put(place, at * 64 + word.trailing_zeros() as usize);
                word &= word - 1;
            }
            self.words[at] = 0;
            self.summary &= self.summary - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn empty() -> Bitmap {
        let mut bitmap = Bitmap { summary: u64::MAX, words: Row([u64::MAX; WORDS]) };
        bitmap.clear(BITS);
        bitmap
    }

    fn insert(bitmap: &mut Bitmap, bits: &[usize]) -> bool {
        // All of them, also behind one that was set.
        bits.iter().filter(|&&bit| !bitmap.insert(bit)).count() == 0
    }

    #[test]
    fn a_bit_is_set_once() {
        let mut bitmap = empty();
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
            (prop::collection::btree_set(0..BITS, 0..40), 0usize..40), 0..if cfg!(miri) { 8 } else { 60 },
        )) {
            let (mut bitmap, mut set) = (empty(), BTreeSet::new());
            for (more, count) in steps {
                let more: Vec<usize> = more.into_iter().filter(|&at| set.insert(at)).collect();
                prop_assert!(insert(&mut bitmap, &more));
                prop_assert!((0..BITS).all(|at| bitmap.contains(at) == set.contains(&at)));
                let expected: Vec<usize> = set.iter().copied().take(count).collect();
                prop_assert_eq!(&lowest(&mut bitmap, count), &expected);
                set.retain(|at| !expected.contains(at));
            }
        }
    }
}
