//! The cache of freed mappings. They keep their pages, so that the next large blocks need not fault them in.
#![forbid(unsafe_code)]

use super::mapping::{CUT_MIN, Mapping};
use super::recycle::Pages;
use crate::base::checked::Checked;
use crate::base::config::HUGE_PAGE;

/// The most mappings in the cache, which is searched from end to end.
const CACHED_MAX: usize = 32;

/// What becomes of a mapping that is shorter than the block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// It may be grown.
    Grows,
    /// It is of no use: one that grows may move, and lose its alignment.
    Stays,
}

pub struct Cache {
    /// Oldest first.
    mappings: Checked<Mapping, CACHED_MAX>,
    count: usize,
    bytes: usize,
    /// The least that `bytes` was in this period: nobody took that much.
    idle: usize,
}

impl Cache {
    pub const fn new() -> Self {
        Cache {
            mappings: Checked([Mapping { at: core::ptr::null_mut(), len: 0 }; CACHED_MAX]),
            count: 0,
            bytes: 0,
            idle: 0,
        }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// A copy of all of them.
    pub fn mappings(&self) -> [Option<Mapping>; CACHED_MAX] {
        core::array::from_fn(|at| self.mappings.first(self.count).get(at).copied())
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The least that it had since the last call, in bytes. From here on it is what it has now.
    pub fn take_idle(&mut self) -> usize {
        core::mem::replace(&mut self.idle, self.bytes)
    }

    fn shrink_by(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.idle = self.idle.min(self.bytes);
    }

    /// Adds a mapping, and joins it with those that it touches. False where the cache is full.
    pub fn put(&mut self, mapping: Mapping) -> bool {
        let (mut whole, idle) = (mapping, self.idle);
        let mut at = 0;
        while at < self.count {
            let other = self.mappings[at];
            let below = other.end() == whole.at;
            if below || whole.end() == other.at {
                whole = Mapping { at: if below { other.at } else { whole.at }, len: whole.len + other.len };
                self.take(at);
                at = 0;
            } else {
                at += 1;
            }
        }
        // What was joined was not taken.
        self.idle = idle;
        if self.count == CACHED_MAX {
            return false;
        }
        self.mappings[self.count] = whole;
        self.count += 1;
        self.bytes += whole.len;
        true
    }

    /// Takes a mapping for a block of `len` bytes at a multiple of `align`. The smallest that is long enough
    /// serves, cut to the length. If none is, and a short one grows, the longest of all is taken. On huge
    /// pages a block of a huge page or more starts at one, and a shorter one cuts none apart.
    pub fn take_for(&mut self, len: usize, align: usize, pages: Pages, short: Short) -> Option<Mapping> {
        let huge = pages == Pages::Huge;
        let least = if huge && len >= HUGE_PAGE { HUGE_PAGE } else { 1 };
        if let Some(at) = self.fit(len, align.max(least)) {
            if huge && len < HUGE_PAGE && align <= HUGE_PAGE {
                self.part_last(at, len);
            }
            return Some(self.take_front(at, len));
        }
        let all = self.mappings.first(self.count).iter().enumerate();
        let (at, _) = (all
            .filter(|(_, mapping)| short == Short::Grows && mapping.at.addr().is_multiple_of(least)))
        .max_by_key(|(_, mapping)| mapping.len)
        .filter(|(_, mapping)| mapping.len >= least)?;
        Some(self.take(at))
    }

    /// Splits a mapping at the last huge page that leaves `len` bytes behind its start. The end is a mapping
    /// of its own then, at place `at`.
    fn part_last(&mut self, at: usize, len: usize) {
        let whole = self.mappings[at];
        let last = (whole.end().addr() - len) & !(HUGE_PAGE - 1);
        if last > whole.at.addr() && self.count < CACHED_MAX {
            let (front, last) = whole.split(last - whole.at.addr());
            self.mappings[at] = last;
            self.mappings[self.count] = front;
            self.count += 1;
        }
    }

    /// Takes bytes from the mapping that begins at `end`: `len`, or all of it where the rest is not worth
    /// keeping. Returns how many.
    pub fn take_behind(&mut self, end: *mut u8, len: usize) -> usize {
        match self.mappings.first(self.count).iter().position(|mapping| mapping.at == end) {
            Some(at) => self.take_front(at, len).len,
            None => 0,
        }
    }

    /// Whether any mapping has `len` bytes.
    pub fn fits(&self, len: usize) -> bool {
        self.fit(len, 1).is_some()
    }

    /// Takes the oldest mapping, for the cache holds more than `bound`. On huge pages only the end of it
    /// where the rest may stay. None where the cache is inside its bound.
    pub fn take_excess(&mut self, bound: usize, pages: Pages) -> Option<Mapping> {
        let excess = self.bytes.checked_sub(bound).filter(|&excess| excess > 0)?;
        let oldest = self.mappings[0];
        let stay = oldest.part_within(oldest.len.saturating_sub(excess), pages);
        if stay == 0 {
            return Some(self.take(0));
        }
        self.mappings[0].len = stay;
        self.shrink_by(oldest.len - stay);
        Some(oldest.split(stay).1)
    }

    fn fit(&self, len: usize, align: usize) -> Option<usize> {
        let all = self.mappings.first(self.count).iter().enumerate();
        all.filter(|(_, mapping)| mapping.at.addr().is_multiple_of(align) && mapping.len >= len)
            .min_by_key(|(_, mapping)| mapping.len)
            .map(|(at, _)| at)
    }

    /// Takes the first `len` bytes of a mapping, or all of it where little would be left.
    fn take_front(&mut self, at: usize, len: usize) -> Mapping {
        let found = self.mappings[at];
        let rest = found.len.saturating_sub(len);
        if rest < CUT_MIN.max(len / 16) {
            return self.take(at);
        }
        let (taken, rest) = found.split(len);
        self.mappings[at] = rest;
        self.shrink_by(len);
        taken
    }

    fn take(&mut self, at: usize) -> Mapping {
        let mapping = self.mappings[at];
        self.count -= 1;
        for at in at..self.count {
            self.mappings[at] = self.mappings[at + 1];
        }
        self.shrink_by(mapping.len);
        mapping
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr::without_provenance_mut;

    const MIB: usize = 1 << 20;
    const HUGE: usize = 2 * MIB;

    fn mapping(at: usize, len: usize) -> Mapping {
        Mapping { at: without_provenance_mut(at), len }
    }

    fn cache(mappings: &[(usize, usize)]) -> Cache {
        let mut cache = Cache::new();
        assert!(mappings.iter().all(|&(at, len)| cache.put(mapping(at, len))));
        cache
    }

    fn range(mapping: Option<Mapping>) -> Option<(usize, usize)> {
        mapping.map(|mapping| (mapping.at.addr(), mapping.len))
    }

    #[test]
    fn the_smallest_that_is_long_enough_serves_and_its_end_stays() {
        let mut cache = cache(&[(64 * MIB, 8 * MIB), (32 * MIB, 3 * MIB)]);
        assert_eq!(range(cache.take_for(MIB, 1, Pages::Small, Short::Grows)), Some((32 * MIB, MIB)));
        assert_eq!((cache.count(), cache.bytes()), (2, 10 * MIB));
        assert_eq!(range(cache.take_for(9 * MIB, 1, Pages::Small, Short::Stays)), None);
        assert_eq!(
            range(cache.take_for(9 * MIB, 1, Pages::Small, Short::Grows)),
            Some((64 * MIB, 8 * MIB)),
            "to be grown"
        );
        assert_eq!(
            range(cache.take_for(2 * MIB - 4096, 1, Pages::Small, Short::Grows)),
            Some((33 * MIB, 2 * MIB)),
            "nearly all"
        );
        assert_eq!((cache.count(), cache.bytes()), (0, 0));
    }

    #[test]
    fn huge_pages_stay_whole_where_a_small_block_is_cut_off() {
        let mut cache = cache(&[(64 * MIB, 3 * HUGE + 4096), (33 * MIB, 7 * MIB)]);
        let mut take = |len, align| range(cache.take_for(len, align, Pages::Huge, Short::Grows));
        assert_eq!(take(HUGE, 1), Some((64 * MIB, HUGE)), "one that starts at a huge page");
        assert_eq!(take(MIB, 1 << 16), Some((66 * MIB + HUGE, MIB)), "of the last that is long enough");
        assert_eq!(take(HUGE, 1), Some((66 * MIB, HUGE)));
        assert_eq!(cache.bytes(), 8 * MIB + 4096);
        assert!(cache.fits(7 * MIB), "the mapping that starts between two is there");
    }

    #[test]
    fn a_block_of_a_large_alignment_is_not_cut_off_at_a_smaller_one() {
        let mut cache = cache(&[(64 * MIB, 3 * HUGE)]);
        assert_eq!(range(cache.take_for(MIB, 4 * MIB, Pages::Huge, Short::Grows)), Some((64 * MIB, MIB)));
    }

    #[test]
    fn a_block_grows_into_what_is_cached_behind_it() {
        let mut cache = cache(&[(64 * MIB, 4 * MIB)]);
        assert_eq!(cache.take_behind(without_provenance_mut(63 * MIB), MIB), 0);
        assert_eq!(cache.take_behind(without_provenance_mut(64 * MIB), MIB), MIB);
        assert_eq!(cache.take_behind(without_provenance_mut(65 * MIB), 8 * MIB), 3 * MIB, "all there is");
        assert_eq!((cache.count(), cache.bytes()), (0, 0));
    }

    #[test]
    fn beyond_the_bound_the_oldest_goes_and_of_huge_pages_those_at_the_end() {
        let mut cache = cache(&[(64 * MIB, MIB), (32 * MIB, 7 * MIB)]);
        assert_eq!(range(cache.take_excess(8 * MIB, Pages::Small)), None);
        assert_eq!(range(cache.take_excess(7 * MIB, Pages::Small)), Some((64 * MIB, MIB)));
        assert_eq!(
            range(cache.take_excess(5 * MIB, Pages::Huge)),
            Some((36 * MIB, 3 * MIB)),
            "whole ones stay"
        );
        assert_eq!(
            range(cache.take_excess(3 * MIB, Pages::Small)),
            Some((32 * MIB, 4 * MIB)),
            "small ones go"
        );
        assert_eq!((cache.count(), cache.bytes()), (0, 0));
    }

    #[test]
    fn what_nobody_took_in_a_period_is_idle() {
        let mut cache = cache(&[(64 * MIB, 8 * MIB)]);
        assert_eq!((cache.take_idle(), cache.take_idle()), (0, 8 * MIB), "it came in the first period");
        let taken = cache.take_for(3 * MIB, 1, Pages::Small, Short::Grows).expect("it is there");
        assert!(cache.put(taken), "and comes back");
        assert_eq!((cache.bytes(), cache.take_idle(), cache.take_idle()), (8 * MIB, 5 * MIB, 8 * MIB));
    }

    #[test]
    fn what_touches_becomes_one_and_a_full_cache_takes_no_more() {
        let mut cache = cache(&[(10 * MIB, MIB), (12 * MIB, MIB), (11 * MIB, MIB)]);
        assert_eq!((cache.count(), cache.bytes()), (1, 3 * MIB));
        let more = (1..).take_while(|&k| cache.put(mapping(20 * MIB + 2 * k * MIB, MIB))).count();
        assert_eq!(more, CACHED_MAX - 1);
        assert!(cache.put(mapping(13 * MIB, MIB)), "but what touches fits");
    }
}
