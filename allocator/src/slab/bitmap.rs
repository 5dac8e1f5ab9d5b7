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

    /// Sets a bit. False where it was set already.
    #[inline]
    pub fn insert(&mut self, at: usize) -> bool {
        let (word, bit) = (&mut self.words[at / 64], 1u64 << (at % 64));
        let fresh = *word & bit == 0;
        *word |= bit;
        self.summary |= 1 << (at / 64);
        fresh
    }

    /// Takes up to `count` set bits out, from the lowest up.
    #[inline]
    pub fn take(&mut self, mut count: u32, mut each: impl FnMut(usize)) {
        while self.summary != 0 && count > 0 {
            let at = self.summary.trailing_zeros() as usize;
            let mut word = self.words[at];
            while word != 0 && count > 0 {
                each(at * 64 + word.trailing_zeros() as usize);
                word &= word - 1;
                count -= 1;
            }
            self.words[at] = word;
            if word == 0 {
                self.summary &= self.summary - 1;
            }
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
        assert!(bitmap.insert(4095) && !bitmap.insert(4095) && bitmap.insert(0));
        let mut got = Vec::new();
        bitmap.take(9, |at| got.push(at));
        assert_eq!(got, [0, 4095]);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 4 } else { 64 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn it_agrees_with_a_set(steps in prop::collection::vec((0..BITS, 0u32..4), 0..300)) {
            let (mut bitmap, mut set) = (empty(), BTreeSet::new());
            for (at, take) in steps {
                prop_assert_eq!(bitmap.insert(at), set.insert(at));
                let mut got = Vec::new();
                bitmap.take(take, |at| got.push(at));
                let lowest: Vec<usize> = set.iter().copied().take(take as usize).collect();
                prop_assert_eq!(&got, &lowest);
                for at in lowest {
                    set.remove(&at);
                }
            }
        }
    }
}
