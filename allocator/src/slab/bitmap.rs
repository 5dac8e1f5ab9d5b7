//! The free blocks of a slab, a bit each: found from the lowest address up, without touching a block.

use crate::config::GRANULE;
use crate::row::Row;

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

    /// Sets bits. False where one was set already.
    #[inline]
    pub fn insert_all(&mut self, bits: impl Iterator<Item = usize>) -> bool {
        let (mut at, mut word, mut doubled) = (0, self.words[0], 0);
        for bit in bits {
            // Neighbours share a word, which is written once for all of them.
            if bit / 64 != at {
                self.words[at] = word;
                at = bit / 64;
                word = self.words[at];
                self.summary |= 1 << at;
            }
            let bit = 1 << (bit % 64);
            doubled |= word & bit;
            word |= bit;
        }
        self.words[at] = word;
        self.summary |= (self.words[0] != 0) as u64;
        doubled == 0
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

    #[test]
    fn a_bit_is_set_once() {
        let mut bitmap = empty();
        assert!(bitmap.insert_all([4095, 7].into_iter()));
        assert!(!bitmap.insert_all([1, 4095].into_iter()) && bitmap.insert_all([0].into_iter()));
        assert_eq!(lowest(&mut bitmap, 9), [0, 1, 7, 4095]);
        assert!(!bitmap.insert_all([5, 5].into_iter()));
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
                prop_assert!(bitmap.insert_all(more.into_iter()));
                let expected: Vec<usize> = set.iter().copied().take(count).collect();
                prop_assert_eq!(&lowest(&mut bitmap, count), &expected);
                set.retain(|at| !expected.contains(at));
            }
        }
    }
}
