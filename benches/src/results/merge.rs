//! Results that were taken in pieces, put together: a machine is not always quiet for half an hour.

use super::wide::skipped_name;
use super::{Allocator, Results, Row, Set, Skipped};

impl Results {
    /// These, with what `earlier` has beyond them.
    pub fn merged_with(mut self, earlier: Results) -> Results {
        self.pieces += earlier.pieces;
        self.seconds += earlier.seconds;
        for remark in earlier.remarks {
            if !self.remarks.contains(&remark) {
                self.remarks.push(remark);
            }
        }
        for old in earlier.sets {
            match self.sets.iter_mut().find(|set| set.kind == old.kind) {
                Some(set) => set.add(old),
                None => self.sets.push(old),
            }
        }
        self.sets.sort_by_key(|set| set.kind);
        for mut old in earlier.pairs {
            match self.pairs.iter_mut().find(|pair| pair.is_of(&old)) {
                Some(pair) => {
                    old.rows.retain(|row| pair.rows.iter().all(|new| new.name != row.name));
                    pair.rows.extend(old.rows);
                    pair.calibration = pair.calibration.take().or(old.calibration);
                }
                None => self.pairs.push(old),
            }
        }
        self
    }
}

impl Set {
    fn add(&mut self, old: Set) {
        // The old order first, so that columns and rows stay where they were.
        let new = std::mem::replace(&mut self.allocators, old.allocators);
        for allocator in new {
            match self.allocators.iter_mut().find(|known| known.name == allocator.name) {
                Some(known) => known.renew(allocator),
                None => self.allocators.push(allocator),
            }
        }
        let new = std::mem::replace(&mut self.rows, old.rows);
        for row in new {
            match self.rows.iter_mut().find(|known| known.name == row.name) {
                Some(known) => known.renew(row),
                None => self.rows.push(row),
            }
        }
        let there = |skipped: &Skipped, set: &Set| {
            set.allocators.iter().any(|allocator| {
                let wide = !allocator.wide.is_empty() && skipped.name == skipped_name(&allocator.name);
                allocator.name == skipped.name || wide
            }) || set.rows.iter().any(|row| row.name == skipped.name)
                || set.skipped.contains(skipped)
        };
        for skipped in old.skipped {
            if !there(&skipped, self) {
                self.skipped.push(skipped);
            }
        }
        self.reference = super::reference(self.allocators.iter().map(|allocator| allocator.name.as_str()));
    }
}

impl Allocator {
    fn renew(&mut self, new: Allocator) {
        self.version = new.version;
        self.hello_kib = new.hello_kib.or(self.hello_kib);
        self.box_round = new.box_round.or(self.box_round);
        if !new.growth.is_empty() {
            self.growth = new.growth;
        }
        if !new.scaling.is_empty() {
            self.scaling = new.scaling;
        }
        if !new.wide.is_empty() {
            self.wide = new.wide;
        }
    }
}

impl Row {
    fn renew(&mut self, new: Row) {
        self.about = new.about;
        self.cells.extend(new.cells);
        self.failure = None;
        self.judge();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;
    use crate::results::paired::PairedRow;
    use crate::results::paired::tests::paired;
    use crate::results::tests::{cell, row};

    #[test]
    fn a_row_measured_again_takes_the_old_ones_place() {
        let mut new = example();
        new.sets[0].rows = vec![row("pairs", &[("brkmap", cell(30.0, 1))])];
        let merged = new.merged_with(example());
        let names: Vec<_> = merged.sets[0].rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["pairs", "live", "maps"]);
        let pairs = &merged.sets[0].rows[0];
        assert_eq!(pairs.cells["brkmap"].samples[0].user_ms, 30.0);
        assert_eq!(pairs.cells["mimalloc"].samples[0].user_ms, 100.0);
        assert_eq!((merged.pieces, merged.seconds), (2, 24.0));
    }

    #[test]
    fn what_was_measured_once_stays() {
        let mut new = example();
        new.sets[0].allocators.iter_mut().for_each(|allocator| {
            *allocator =
                Allocator { name: allocator.name.clone(), version: "2".into(), ..Allocator::default() }
        });
        let merged = new.merged_with(example());
        let brkmap = &merged.sets[0].allocators[0];
        assert_eq!((brkmap.version.as_str(), brkmap.box_round, brkmap.growth.len()), ("2", Some(25.0), 2));
    }

    #[test]
    fn a_peer_that_was_skipped_and_is_there_now_is_no_longer_skipped() {
        let mut new = example();
        new.sets[0].skipped.clear();
        new.sets[0].allocators.push(Allocator { name: "snmalloc".into(), ..Allocator::default() });
        let merged = new.merged_with(example());
        assert!(merged.sets[0].skipped.is_empty());
        assert_eq!(merged.sets[0].allocators.len(), 3);
    }

    #[test]
    fn a_pair_keeps_the_rows_that_were_not_measured_again() {
        let (mut new, mut old) = (paired(), paired());
        new.pairs[0].rows[0].rounds = 20;
        let live = PairedRow { name: "live".into(), ..old.pairs[0].rows[0].clone() };
        old.pairs[0].rows.push(live);
        let merged = new.merged_with(old);
        let rows: Vec<_> = merged.pairs[0].rows.iter().map(|row| (row.name.as_str(), row.rounds)).collect();
        assert_eq!((merged.pairs.len(), rows), (1, vec![("pairs", 20), ("live", 8)]));
    }

    #[test]
    fn a_set_measured_before_is_kept() {
        let mut new = example();
        new.sets[0].kind = crate::results::Kind::Preload;
        let merged = new.merged_with(example());
        assert_eq!(merged.sets.len(), 2);
        assert_eq!(merged.sets[0].kind, crate::results::Kind::Rust);
    }
}
