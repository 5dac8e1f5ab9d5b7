//! What there is of medium blocks, by their class.
#![forbid(unsafe_code)]

use super::class::{MEDIUM_CLASSES, MediumClass};
use crate::base::checked::Checked;
use crate::base::config::GRANULE_SHIFT;
use crate::base::units::Bytes;

/// A glance at the chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediumFigures {
    pub chunk_bytes: Bytes,
    /// Of blocks that are with the program, or that threads have at hand.
    pub used_bytes: Bytes,
    /// Free, with pages that may be behind it.
    pub dirty_bytes: Bytes,
    pub classes: Checked<OfMedium, MEDIUM_CLASSES>,
}

/// What there is of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfMedium {
    pub chunks: u32,
    /// Blocks that are with the program, or that threads have at hand.
    pub used: u32,
    /// Free ones whose pages are being given back.
    pub away: u32,
}

impl OfMedium {
    pub const NONE: OfMedium = OfMedium { chunks: 0, used: 0, away: 0 };

    /// Blocks that are free, those that are away included.
    pub fn free(self, class: MediumClass) -> u32 {
        (self.chunks * class.blocks()).saturating_sub(self.used)
    }

    /// Bytes of its chunks.
    pub fn chunk_bytes(self, class: MediumClass) -> usize {
        ((self.chunks * class.granules().0) as usize) << GRANULE_SHIFT
    }
}

impl MediumFigures {
    /// The sums over all classes, with what is dirty in the chunks.
    pub fn of(classes: &Checked<OfMedium, MEDIUM_CLASSES>, dirty: usize) -> MediumFigures {
        let sum = |of: fn(&OfMedium, MediumClass) -> usize| {
            MediumClass::all().map(|class| of(&classes[class.number()], class)).sum()
        };
        let away: usize = sum(|of, class| of.away as usize * class.bytes());
        MediumFigures {
            chunk_bytes: Bytes(sum(|of, class| of.chunk_bytes(class))),
            used_bytes: Bytes(sum(|of, class| of.used as usize * class.bytes())),
            dirty_bytes: Bytes(dirty + away),
            classes: *classes,
        }
    }
}
