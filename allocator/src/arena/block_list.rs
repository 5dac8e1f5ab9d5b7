//! The arena's blocks in the order of their numbers, with what each has free: the lowest that has a run long
//! enough, the highest that has anything dirty.
//!
//! ```text
//!   rows     │ number, tables, summary │ …
//!   groups   │ of 16 rows: summary     │ …
//! ```
//!
//! It is made from the directory again where a fork caught another thread at work here.
#![allow(unsafe_code)]

use super::block::{Block, Head};
use super::runs::Summary;
use crate::base::checked::{at_or_end, at_or_end_mut, part_or_end};
use crate::base::units::round_up;
use crate::base::why::Why;
use crate::os::Os;
use core::ptr::null_mut;

/// Rows that need no mapping: 512 MiB.
const FIRST: usize = 8;
const GROUP: usize = 16;

#[derive(Clone, Copy)]
struct Checked {
    number: u32,
    summary: Summary,
    head: *mut Head,
}

const NO_ROW: Checked = Checked { number: 0, summary: Summary::NOTHING, head: null_mut() };

pub struct BlockList {
    first: [Checked; FIRST],
    /// The rows, once they are too many for `first`, with the groups behind them; else null.
    table: *mut Checked,
    capacity: usize,
    count: usize,
}

impl BlockList {
    pub const fn new() -> Self {
        BlockList { first: [NO_ROW; FIRST], table: null_mut(), capacity: FIRST, count: 0 }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the mapping that it has, if it has one.
    pub fn bytes(&self) -> usize {
        if self.table.is_null() { 0 } else { table_bytes(self.capacity) }
    }

    pub fn block(&self, at: usize) -> Block {
        Block(at_or_end(self.rows(), at).head)
    }

    /// The place of a block.
    pub fn find(&self, number: u32) -> Option<usize> {
        self.rows().binary_search_by_key(&number, |row| row.number).ok()
    }

    /// Makes room for one more. False where there is no memory for it.
    pub fn reserve<O: Os>(&mut self, os: &O, why: Why) -> bool {
        if self.count < self.capacity {
            return true;
        }
        let capacity = (self.capacity * 4).next_multiple_of(GROUP);
        let Some(memory) = bytes(os, capacity).and_then(|bytes| os.map(bytes, why)) else { return false };
        let (old, old_bytes) = (self.table, bytes(os, self.capacity));
        // SAFETY: a new mapping that is long enough, and the rows there are.
        unsafe { memory.cast::<Checked>().copy_from_nonoverlapping(self.rows().as_ptr(), self.count) };
        (self.table, self.capacity) = (memory.cast(), capacity);
        self.sum_up_from(0);
        if let Some(old_bytes) = old_bytes.filter(|_| !old.is_null()) {
            // SAFETY: the old table's mapping, copied and out of use.
            unsafe { os.unmap(old.cast(), old_bytes, why) };
        }
        true
    }

    /// Adds a block that is not there; `reserve` made room for it. Its place.
    pub fn insert(&mut self, block: Block, number: u32) -> usize {
        let at = self.rows().partition_point(|row| row.number < number);
        self.count += 1;
        let rows = self.rows_mut();
        for behind in (at + 1..rows.len()).rev() {
            *at_or_end_mut(rows, behind) = *at_or_end(rows, behind - 1);
        }
        *at_or_end_mut(rows, at) = Checked { number, summary: Summary::NOTHING, head: block.0 };
        self.sum_up_from(at / GROUP);
        at
    }

    pub fn remove(&mut self, at: usize) {
        let rows = self.rows_mut();
        for behind in at + 1..rows.len() {
            *at_or_end_mut(rows, behind - 1) = *at_or_end(rows, behind);
        }
        self.count -= 1;
        self.sum_up_from(at / GROUP);
    }

    /// Notes what a block has.
    pub fn set_summary(&mut self, at: usize, summary: Summary) {
        let row = at_or_end_mut(self.rows_mut(), at);
        if row.summary != summary {
            row.summary = summary;
            self.sum_up(at / GROUP);
        }
    }

    /// The first block that has a free run of `len` granules.
    pub fn first_fit(&self, len: u32) -> Option<usize> {
        let group = self.groups().iter().position(|of| of.has_run(len))?;
        Some(group * GROUP + self.group(group).iter().position(|row| row.summary.has_run(len))?)
    }

    /// The last block that has anything to purge.
    pub fn last_dirty(&self) -> Option<usize> {
        let group = self.groups().iter().rposition(|of| of.is_dirty())?;
        Some(group * GROUP + self.group(group).iter().rposition(|row| row.summary.is_dirty())?)
    }

    fn sum_up_from(&mut self, group: usize) {
        (group..self.capacity / GROUP).for_each(|group| self.sum_up(group));
    }

    fn sum_up(&mut self, group: usize) {
        if self.table.is_null() {
            return;
        }
        let sum = sum(self.group(group));
        // SAFETY: behind the rows there is room for the groups; `&mut self` is the only way there.
        let groups = unsafe {
            core::slice::from_raw_parts_mut(self.table.add(self.capacity).cast(), self.capacity / GROUP)
        };
        *at_or_end_mut(groups, group) = sum;
    }

    /// The rows of a group that there are.
    fn group(&self, group: usize) -> &[Checked] {
        let (start, end) = ((group * GROUP).min(self.count), ((group + 1) * GROUP).min(self.count));
        part_or_end(self.rows(), start..end)
    }

    /// What each group says. The first rows are one: they are asked themselves.
    fn groups(&self) -> &[Summary] {
        const ANY: [Summary; 1] = [Summary::ANY];
        if self.table.is_null() {
            return &ANY;
        }
        // SAFETY: as in `sum_up`, and only read.
        unsafe { core::slice::from_raw_parts(self.table.add(self.capacity).cast(), self.capacity / GROUP) }
    }

    fn rows(&self) -> &[Checked] {
        match self.table.is_null() {
            true => part_or_end(&self.first, 0..self.count),
            // SAFETY: so many rows of a mapping that is this list's alone.
            false => unsafe { core::slice::from_raw_parts(self.table, self.count) },
        }
    }

    fn rows_mut(&mut self) -> &mut [Checked] {
        match self.table.is_null() {
            true => self.first.get_mut(..self.count).unwrap_or_default(),
            // SAFETY: as in `rows`; the borrow of self is exclusive.
            false => unsafe { core::slice::from_raw_parts_mut(self.table, self.count) },
        }
    }
}

fn sum(rows: &[Checked]) -> Summary {
    rows.iter().fold(Summary::NOTHING, |sum, row| Summary::of(&[sum, row.summary]))
}

/// Bytes of a table of so many rows and their groups.
fn bytes<O: Os>(os: &O, capacity: usize) -> Option<usize> {
    round_up(table_bytes(capacity), os.page())
}

fn table_bytes(capacity: usize) -> usize {
    capacity * size_of::<Checked>() + capacity / GROUP * size_of::<Summary>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::why::{Cause, Reason};
    use crate::os::sim::{Call, Sim};

    const WHY: Why = Reason::Tables.by(Cause::Process);

    fn block(number: u32) -> Block {
        Block(core::ptr::without_provenance_mut(number as usize * 4096 + 4096))
    }

    #[test]
    fn blocks_are_in_order_and_found_by_what_they_have() {
        let os = Sim::new();
        let mut list = BlockList::new();
        let mut numbers: Vec<u32> = (0..70).map(|k| (k * 37) % 71).collect();
        for &number in &numbers {
            assert!(list.reserve(&os, WHY));
            list.insert(block(number), number);
        }
        numbers.sort();
        for (at, &number) in numbers.iter().enumerate() {
            assert!(list.find(number) == Some(at) && list.block(at) == block(number));
        }
        assert_eq!((list.first_fit(1), list.last_dirty()), (None, None));
        list.set_summary(40, Summary::new(5, true));
        list.set_summary(17, Summary::new(9, true));
        list.set_summary(60, Summary::new(9, false));
        assert_eq!((list.first_fit(5), list.first_fit(6), list.last_dirty()), (Some(17), Some(17), Some(40)));
        list.remove(17);
        assert_eq!((list.first_fit(5), list.first_fit(6), list.last_dirty()), (Some(39), Some(59), Some(39)));
        assert!(list.find(numbers[17]).is_none() && list.count() == 69);
    }

    #[test]
    fn few_blocks_need_no_table_and_a_refused_one_changes_nothing() {
        let os = Sim::new();
        let mut list = BlockList::new();
        os.refuse_everything(true);
        for number in 0..FIRST as u32 {
            assert!(list.reserve(&os, WHY));
            list.insert(block(number), number);
        }
        assert!(!list.reserve(&os, WHY) && os.calls(Call::Map) == 1);
        list.set_summary(3, Summary::new(2, true));
        assert_eq!((list.first_fit(2), list.first_fit(3), list.last_dirty()), (Some(3), None, Some(3)));
    }
}
