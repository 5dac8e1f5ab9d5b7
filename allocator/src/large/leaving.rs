//! Mappings that leave: what a plan has unmapped, without the lock.
#![forbid(unsafe_code)]

use super::mapping::Mapping;
use crate::base::checked::Checked;
use core::ptr::null_mut;

/// The most mappings that leave at once. Whoever finds it full comes again.
const MOST: usize = 8;

#[must_use = "what left the cache and the index is lost unless it is unmapped"]
pub struct Leaving {
    mappings: Checked<Mapping, MOST>,
    count: usize,
    others_wait: bool,
}

impl Leaving {
    pub const fn none() -> Self {
        let none = Mapping { at: null_mut(), len: 0 };
        Leaving { mappings: Checked([none; MOST]), count: 0, others_wait: false }
    }

    /// Adds a mapping. There is room while it is not full.
    pub fn push(&mut self, mapping: Mapping) {
        self.mappings[self.count] = mapping;
        self.count += 1;
    }

    pub fn is_full(&self) -> bool {
        self.count == MOST
    }

    pub fn mappings(&self) -> &[Mapping] {
        self.mappings.first(self.count)
    }

    /// Notes that earlier mappings, which the kernel refused to unmap, may go with these.
    pub fn note_others_wait(&mut self) {
        self.others_wait = true;
    }

    pub fn others_wait(&self) -> bool {
        self.others_wait
    }
}
