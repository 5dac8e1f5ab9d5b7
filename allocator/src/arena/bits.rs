//! A bit for each granule of a block.
//!
//! A fork may copy them between any two stores of another thread: each word is right, or one store behind.
#![forbid(unsafe_code)]

use crate::base::checked::Checked;
use crate::base::config::BLOCK_GRANULES;
use core::ops::Range;

const WORDS: usize = BLOCK_GRANULES as usize / 64;

#[repr(C)]
pub struct Bits(Checked<u64, WORDS>);

impl Bits {
    pub const NONE: Bits = Bits(Checked([0; WORDS]));

    pub fn set(&mut self, granules: Range<u32>) {
        each_word(granules, |at, mask| self.0[at] |= mask);
    }

    pub fn clear(&mut self, granules: Range<u32>) {
        each_word(granules, |at, mask| self.0[at] &= !mask);
    }

    pub fn get(&self, granule: u32) -> bool {
        self.0[granule as usize / 64] & 1 << (granule % 64) != 0
    }

    pub fn is_empty(&self) -> bool {
        self.0.0.iter().all(|&word| word == 0)
    }

    /// The highest granule below `end` whose bit is set.
    pub fn last_below(&self, end: u32) -> Option<u32> {
        (0..end.div_ceil(64)).rev().find_map(|at| {
            let below = end - at * 64;
            let mask = if below >= 64 { u64::MAX } else { (1 << below) - 1 };
            (self.0[at as usize] & mask).checked_ilog2().map(|bit| at * 64 + bit)
        })
    }

    /// The lowest granule from `start` on, below the block's end, whose bit is set; else the end.
    pub fn next_set(&self, start: u32) -> u32 {
        self.next(start, |word| word)
    }

    /// The lowest one whose bit is not set; else the end.
    pub fn next_clear(&self, start: u32) -> u32 {
        self.next(start, |word| !word)
    }

    #[inline]
    fn next(&self, start: u32, of: impl Fn(u64) -> u64) -> u32 {
        let mut at = start;
        while at < BLOCK_GRANULES {
            let wanted = of(self.0[at as usize / 64]) >> (at % 64);
            if wanted != 0 {
                return at + wanted.trailing_zeros();
            }
            at = (at / 64 + 1) * 64;
        }
        BLOCK_GRANULES
    }

    /// The stretches of granules whose bits are set, from the lowest up.
    pub fn stretches(&self) -> impl Iterator<Item = Range<u32>> {
        let mut from = 0;
        core::iter::from_fn(move || {
            let start = self.next_set(from);
            from = self.next_clear(start);
            (start < from).then_some(start..from)
        })
    }
}

fn each_word(granules: Range<u32>, mut change: impl FnMut(usize, u64)) {
    let mut at = granules.start;
    while at < granules.end {
        let count = (64 - at % 64).min(granules.end - at);
        change(at as usize / 64, (u64::MAX >> (64 - count)) << (at % 64));
        at += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_cleared_and_found() {
        let mut bits = Bits::NONE;
        bits.set(60..200);
        bits.set(1000..1024);
        bits.clear(100..130);
        assert_eq!(bits.stretches().collect::<Vec<_>>(), [60..100, 130..200, 1000..1024]);
        assert!(bits.get(60) && bits.get(199) && !bits.get(59) && !bits.get(100) && !bits.get(200));
        for (end, last) in
            [(60, None), (61, Some(60)), (128, Some(99)), (1000, Some(199)), (1024, Some(1023))]
        {
            assert_eq!(bits.last_below(end), last, "below {end}");
        }
        bits.clear(0..1024);
        assert!(bits.is_empty() && bits.stretches().next().is_none());
    }
}
