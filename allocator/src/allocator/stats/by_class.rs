//! The blocks of slabs and of chunks by their size class.
#![forbid(unsafe_code)]

use crate::allocator::Allocator;
use crate::base::checked::Checked;
use crate::base::config::GRANULE_SHIFT;
use crate::base::size_class::{self, CLASSES};
use crate::base::units::SizeClass;
use crate::medium::{MEDIUM_CLASSES, MediumClass};
use crate::os::Os;
use crate::slab::capacity;

/// What there is of a size class: small blocks are in slabs, medium ones in chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// Bytes of a block.
    pub size: usize,
    /// Blocks that are with the program.
    pub live: usize,
    /// Free blocks that threads have at hand, that are on their way home, or that came home and are kept for
    /// the next refill.
    pub cached: usize,
    /// Blocks that are free in their slabs or chunks, those that were never handed out included.
    pub free: usize,
    /// Bytes of the slabs or chunks.
    pub active: usize,
}

/// Each size class that has slabs or chunks, from the smallest on.
#[derive(Clone, Debug)]
pub struct Classes {
    rows: Checked<ClassStats, ALL>,
    next: usize,
}

/// The medium classes come behind the small ones.
const ALL: usize = CLASSES + MEDIUM_CLASSES;

impl Iterator for Classes {
    type Item = ClassStats;

    fn next(&mut self) -> Option<ClassStats> {
        loop {
            let row = *self.rows.0.get(self.next)?;
            self.next += 1;
            if row.active > 0 {
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
    /// Of what is used: at hand, or in outboxes.
    cached: usize,
    kept: usize,
}

impl<O: Os> Allocator<O> {
    /// Reads what there is of each class. Each heap's lock is taken for as long as its rows are copied, each
    /// outbox's for as long as it is counted, and the chunks'.
    pub fn classes(&self) -> Classes {
        let mut sums = Checked([Sum { granules: 0, used: 0, cached: 0, kept: 0 }; CLASSES]);
        let mut medium = Checked([0; MEDIUM_CLASSES]);
        if let Some(outboxes) = self.registry.outboxes() {
            outboxes.classes(|class, count| sums[class.0 as usize].cached += count);
        }
        self.registry.for_each(|heap| {
            heap.medium_at_hand().for_each(|class| medium[class.number()] += 1);
            heap.classes(&self.arena, |class, of| {
                let sum = &mut sums[class.0 as usize];
                sum.granules += of.granules as usize;
                sum.used += of.used as usize;
                sum.cached += of.at_hand as usize;
                sum.kept += of.kept as usize;
            });
        });
        let mut rows = Checked([ClassStats::default(); ALL]);
        for class in (1..CLASSES as u8).map(SizeClass) {
            let sum = sums[class.0 as usize];
            let all = sum.granules * capacity(class) as usize;
            rows[class.0 as usize] = ClassStats {
                size: size_class::bytes(class),
                live: sum.used.saturating_sub(sum.cached),
                cached: sum.cached + sum.kept,
                free: all.saturating_sub(sum.used + sum.kept),
                active: sum.granules << GRANULE_SHIFT,
            };
        }
        let chunks = self.medium.figures().classes;
        for class in MediumClass::all() {
            let (of, cached) = (chunks[class.number()], medium[class.number()]);
            rows[CLASSES + class.number()] = ClassStats {
                size: class.bytes(),
                live: (of.used as usize).saturating_sub(cached),
                cached,
                free: of.free(class) as usize,
                active: of.chunk_bytes(class),
            };
        }
        Classes { rows, next: 0 }
    }
}
