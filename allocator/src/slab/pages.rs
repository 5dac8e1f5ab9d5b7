//! The pages of a slab, as a set: which are wholly free, and which are clean.
//!
//! ```text
//!   slab     │ page 0        │ page 1        │ page 2        │ …
//!   blocks   │ free │ out │ free │ free │ free │ free │ not carved yet …
//! free       0               0               1               1 …      one block that is out keeps its
//! pages
//! ```
//!
//! A page is *clean* when it reads as zero and has no memory behind it, because it was purged.
#![allow(unsafe_code)]

use super::bitmap::first_clear;
use super::{Slab, block_at};
use crate::base::config::GRANULE;
use crate::base::size_class;
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

/// The pages of a slab of which nothing was carved, where those read as zero.
pub fn never_used(slab: &Slab, page: usize) -> Pages {
    match slab.zeroed {
        true => Pages::all(page)
            .without(Pages::holding(page, 0..slab.carved as usize * size_class::bytes(slab.class))),
        false => Pages::NONE,
    }
}

/// The pages of a slab that hold nothing of a block that is out. What is not carved yet is free.
pub fn free(slab: &Slab, bits: &[u64], page: usize) -> Pages {
    let (size, mut free, mut from) = (size_class::bytes(slab.class), Pages::all(page), 0);
    // From block to block that is out. Those that end in a page known to be held are not asked.
    while let Some(out) = first_clear(bits, from..slab.carved as usize) {
        let held = out * size..(out + 1) * size;
        let end = div_up(held.end, page) << page.trailing_zeros();
        free = free.without(Pages::holding(page, held));
        if end >= GRANULE {
            break;
        }
        // The block that has the next page's first byte. It comes behind this one, which ends before there.
        from = block_at(slab.class, end);
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::SizeClass;
    use crate::slab::capacity;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const PAGES: [usize; 3] = [4 << 10, 16 << 10, 64 << 10];

    fn slab(class: SizeClass, carved: usize, out: &[usize]) -> (Slab, [u64; 64]) {
        // SAFETY: zeros are a record.
        let (mut slab, mut bits): (Slab, _) = (unsafe { core::mem::zeroed() }, [0; 64]);
        slab.reset(&mut bits, class);
        slab.carved = carved as u16;
        slab.used = out.len() as u16;
        let mut free = slab.free(&mut bits);
        (0..carved).filter(|block| !out.contains(block)).for_each(|block| assert!(free.insert(block)));
        (slab, bits)
    }

    fn set(pages: Pages, page: usize) -> Vec<usize> {
        pages.ranges(page).flatten().step_by(page).map(|at| at / page).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 2 } else { 512 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// A page is free where no block that is out has a byte of it.
        #[test]
        fn a_block_that_is_out_keeps_its_pages_and_no_others(
            class in 1u8..85,
            carved in 0.0..=1.0f64,
            out in prop::collection::vec(0.0..1.0f64, 0..20),
            page in 0..3usize,
        ) {
            let (class, page) = (SizeClass(class), PAGES[page]);
            let (size, all) = (size_class::bytes(class), capacity(class) as usize);
            let carved = (carved * all as f64) as usize;
            let out: BTreeSet<usize> = out.iter().map(|at| (at * carved as f64) as usize).collect();
            let out: Vec<usize> = out.into_iter().filter(|&at| at < carved).collect();
            let expected: Vec<usize> = (0..GRANULE / page)
                .filter(|p| out.iter().all(|at| at * size >= (p + 1) * page || (at + 1) * size <= p * page))
                .collect();
            let (slab, bits) = slab(class, carved, &out);
            prop_assert_eq!(set(free(&slab, &bits, page), page), expected);
        }
    }
}
