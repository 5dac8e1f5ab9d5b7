//! The large blocks and the cached mappings, one by one.
#![forbid(unsafe_code)]

use super::Large;
use super::mapping::Mapping;
use crate::base::checked::Checked;
use core::ptr::null_mut;

/// Addresses that are used for one thing, and their bytes.
#[derive(Clone, Copy)]
pub enum LargePart {
    /// A block.
    Block(*mut u8, usize),
    /// A freed mapping that is kept.
    Cached(*mut u8, usize),
    /// The index's table.
    Table(*mut u8, usize),
}

/// Blocks that are copied at once under the lock, from so many places of the index.
const ROWS: usize = 64;
const LOOKS: usize = 1024;

impl Large {
    /// Calls `f` with each. The lock is taken for a look at some of them after the other, and is open while
    /// `f` runs: what is told may have changed meanwhile.
    pub fn for_each_part(&self, mut f: impl FnMut(LargePart)) {
        let (cache, table) = {
            let state = self.lock();
            (state.cache.mappings(), state.index.table_mapping())
        };
        cache.into_iter().flatten().for_each(|one| f(LargePart::Cached(one.at, one.len)));
        table.into_iter().for_each(|table| f(LargePart::Table(table.at, table.len)));
        let mut from = 0;
        loop {
            let mut rows = Checked([Mapping { at: null_mut(), len: 0 }; ROWS]);
            let (count, next) = self.lock().index.copy(from, LOOKS, &mut rows.0);
            rows.first(count).iter().for_each(|row| f(LargePart::Block(row.at, row.len)));
            let Some(next) = next else { return };
            from = next;
        }
    }
}
