//! The blocks of slabs by their size class.
#![forbid(unsafe_code)]

use crate::allocator::Allocator;
use crate::base::checked::Checked;
use crate::base::config::GRANULE_SHIFT;
use crate::base::size_class::{self, CLASSES};
use crate::base::units::SizeClass;
use crate::os::Os;
use crate::slab::capacity;

/// What there is of a size class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// Bytes of a block.
    pub size: usize,
    /// Blocks that are with the program. Those that threads without a heap have freed, and that are on their
    /// way, count here still.
    pub live: usize,
    /// Free blocks that threads have at hand, or that came home and are kept for the next refill.
    pub cached: usize,
    /// Blocks that are free in their slabs, those that were never handed out included.
    pub free: usize,
    /// Bytes of the slabs.
    pub slab_bytes: usize,
}

/// Each size class that has slabs, from the smallest on.
#[derive(Clone, Debug)]
pub struct Classes {
    rows: Checked<ClassStats, CLASSES>,
    next: usize,
}

impl Iterator for Classes {
    type Item = ClassStats;

    fn next(&mut self) -> Option<ClassStats> {
        loop {
            let row = *self.rows.0.get(self.next)?;
            self.next += 1;
            if row.slab_bytes > 0 {
                return Some(row);
            }
        }
    }
}

/// Sums of a class over all heaps.
#[derive(Clone, Copy)]
struct Sum {
    granules: usize,
    used: usize,
    at_hand: usize,
    kept: usize,
}

impl<O: Os> Allocator<O> {
    /// Reads what there is of each class. Each heap's lock is taken for as long as its rows are copied.
    pub fn classes(&self) -> Classes {
        let mut sums = Checked([Sum { granules: 0, used: 0, at_hand: 0, kept: 0 }; CLASSES]);
        self.registry.for_each(|heap| {
            heap.classes(&self.arena, |class, of| {
                let sum = &mut sums[class.0 as usize];
                sum.granules += of.granules as usize;
                sum.used += of.used as usize;
                sum.at_hand += of.at_hand as usize;
                sum.kept += of.kept as usize;
            });
        });
        let mut rows = Checked([ClassStats::default(); CLASSES]);
        for class in (1..CLASSES as u8).map(SizeClass) {
            let sum = sums[class.0 as usize];
            let all = sum.granules * capacity(class) as usize;
            rows[class.0 as usize] = ClassStats {
                size: size_class::bytes(class),
                live: sum.used.saturating_sub(sum.at_hand),
                cached: sum.at_hand + sum.kept,
                free: all.saturating_sub(sum.used + sum.kept),
                slab_bytes: sum.granules << GRANULE_SHIFT,
            };
        }
        Classes { rows, next: 0 }
    }
}
