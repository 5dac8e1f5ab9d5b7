//! A mapping, or a part of one in whole pages.
#![forbid(unsafe_code)]

use super::recycle::Pages;
use crate::base::config::HUGE_PAGE;

/// The shortest end that is cut off a reused mapping; a sixteenth of the block where that is more. Smaller
/// pieces would fill the cache and serve nobody.
pub const CUT_MIN: usize = 64 << 10;

#[derive(Clone, Copy)]
pub struct Mapping {
    pub at: *mut u8,
    pub len: usize,
}

impl Mapping {
    pub fn end(&self) -> *mut u8 {
        self.at.wrapping_add(self.len)
    }

    /// The first `len` bytes (or all there are), and the rest.
    pub fn split(self, len: usize) -> (Mapping, Mapping) {
        let len = len.min(self.len);
        (Mapping { len, ..self }, Mapping { at: self.at.wrapping_add(len), len: self.len - len })
    }

    /// How much of the mapping fits into `len` bytes: all of it or nothing. On huge pages also its longest
    /// first part that ends at a huge page.
    pub fn part_within(&self, len: usize, pages: Pages) -> usize {
        if len >= self.len {
            return self.len;
        }
        let end = (self.at.addr() + len) & !(HUGE_PAGE - 1);
        let part = end.saturating_sub(self.at.addr());
        if pages == Pages::Huge && part >= CUT_MIN { part } else { 0 }
    }

    /// Bytes before the first huge page that lies wholly in the mapping; 0 where none does.
    pub fn before_huge(&self) -> usize {
        let skip = self.at.addr().wrapping_neg() & (HUGE_PAGE - 1);
        if skip + HUGE_PAGE <= self.len { skip } else { 0 }
    }
}
