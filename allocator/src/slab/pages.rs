//! The pages of a slab, as a set: which are wholly free, and which are clean.
//!
//! ```text
//!   slab     │ page 0        │ page 1        │ page 2        │ …
//!   blocks   │ free │ out │ free │ free │ free │ free │ not carved yet …
//!   free       0               0               1               1 …      one block that is out keeps its page
//! ```
//!
//! A page is *clean* when it reads as zero and has no memory behind it, because it was purged.
#![forbid(unsafe_code)]

use crate::base::config::GRANULE;
use crate::base::units::div_up;
use core::ops::Range;

/// A bit for each page of a slab, the lowest first. Of a page larger than a slab there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Pages(u16);

const _: () = assert!(GRANULE / 4096 <= u16::BITS as usize, "no page is smaller than 4 KiB");

impl Pages {
    pub const NONE: Pages = Pages(0);

    /// All pages of a slab.
    pub fn all(page: usize) -> Pages {
        Pages::first((GRANULE >> page.trailing_zeros()) as u32)
    }

    fn first(count: u32) -> Pages {
        Pages(((1u32 << count) - 1) as u16)
    }

    /// Those that hold any of the bytes.
    pub fn holding(page: usize, bytes: Range<usize>) -> Pages {
        let shift = page.trailing_zeros();
        let end = Pages::first((div_up(bytes.end, page)) as u32);
        Pages(end.0 & !Pages::first((bytes.start >> shift) as u32).0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn bytes(self, page: usize) -> usize {
        self.0.count_ones() as usize * page
    }

    pub fn and(self, other: Pages) -> Pages {
        Pages(self.0 & other.0)
    }

    pub fn or(self, other: Pages) -> Pages {
        Pages(self.0 | other.0)
    }

    pub fn without(self, other: Pages) -> Pages {
        Pages(self.0 & !other.0)
    }

    /// Their bytes, as ranges from the slab's start: neighbours are one.
    pub fn ranges(self, page: usize) -> impl Iterator<Item = Range<usize>> {
        let (shift, mut rest) = (page.trailing_zeros(), self.0 as u32);
        core::iter::from_fn(move || {
            if rest == 0 {
                return None;
            }
            let start = rest.trailing_zeros();
            let end = start + (rest >> start).trailing_ones();
            rest &= !Pages::first(end).0 as u32;
            Some((start as usize) << shift..(end as usize) << shift)
        })
    }
}
