use super::units::{UNIT, UNIT_PAGES};
use super::*;
use proptest::prelude::*;

const ONE: Granules = Granules(1);

/// A table of so many granules, all of them one free run.
struct Fresh {
    runs: Runs,
    table: Vec<Chunk>,
}

impl Fresh {
    fn new(count: usize) -> Self {
        let (mut runs, mut table) = (Runs::new(), vec![Chunk::NOTHING; count.div_ceil(CHUNK)]);
        runs.insert(Chunks::new(&mut table), GranuleIdx(0), Granules(count as u32));
        Fresh { runs, table }
    }

    fn parts(&mut self) -> (&mut Runs, &mut Chunks) {
        (&mut self.runs, Chunks::new(&mut self.table))
    }
}

#[test]
fn the_lowest_fit_is_taken() {
    let mut fresh = Fresh::new(16);
    let (runs, chunks) = fresh.parts();
    let all: Vec<_> = (0..16).map(|_| runs.take_first(chunks, ONE, ONE, 0).unwrap().0).collect();
    assert_eq!(all, (0..16).collect::<Vec<_>>());
    assert!(runs.take_first(chunks, ONE, ONE, 0).is_none());
    for head in [9, 3, 4, 12] {
        runs.insert(chunks, GranuleIdx(head), ONE);
    }
    assert_eq!(runs.take_first(chunks, Granules(2), ONE, 0), Some(GranuleIdx(3)));
    assert_eq!(runs.take_first(chunks, ONE, ONE, 0), Some(GranuleIdx(9)));
}

#[test]
fn touching_runs_become_one() {
    let mut fresh = Fresh::new(8);
    let (runs, chunks) = fresh.parts();
    assert!(runs.take_at(chunks, GranuleIdx(0), Granules(8)));
    for head in [0, 2, 1, 7, 3, 5, 6, 4] {
        runs.insert(chunks, GranuleIdx(head), ONE);
    }
    assert_eq!(runs.last(chunks, 8), Some((GranuleIdx(0), Granules(8))));
}

#[test]
fn aligned_runs_leave_both_sides_free() {
    let mut fresh = Fresh::new(64);
    let (runs, chunks) = fresh.parts();
    runs.take_first(chunks, Granules(3), ONE, 0).unwrap();
    assert_eq!(runs.take_first(chunks, Granules(4), Granules(16), 0), Some(GranuleIdx(16)));
    assert_eq!(runs.free(), Granules(64 - 7));
    assert_eq!(runs.take_first(chunks, ONE, ONE, 0), Some(GranuleIdx(3)));
}

#[test]
fn the_highest_dirty_part_is_purged_first() {
    let mut fresh = Fresh::new(10);
    let (runs, chunks) = fresh.parts();
    assert!(runs.take_at(chunks, GranuleIdx(0), Granules(10)));
    soil(chunks, GranuleIdx(2), Granules(3), 16);
    runs.insert(chunks, GranuleIdx(0), Granules(9));
    assert_eq!(runs.dirty(), 48);
    assert_eq!(runs.take_dirty(chunks, 20), Some((GranuleIdx(3), Granules(2))));
    assert_eq!(runs.dirty(), 16);
    clean(chunks, GranuleIdx(3), Granules(2));
    runs.insert(chunks, GranuleIdx(3), Granules(2));
    assert_eq!(runs.take_dirty(chunks, 1).map(|(head, _)| head), Some(GranuleIdx(2)));
    assert!(runs.take_dirty(chunks, 1).is_none());
}

#[test]
fn a_huge_page_is_purged_whole_once_all_of_it_is_free() {
    let mut fresh = Fresh::new(96);
    let (runs, chunks) = fresh.parts();
    runs.start_units(GranuleIdx(32));
    let unit = Granules(UNIT);
    assert_eq!(runs.take_first(chunks, Granules(96), ONE, 0), Some(GranuleIdx(0)));
    soil(chunks, GranuleIdx(32), unit, 1);
    runs.insert(chunks, GranuleIdx(32), Granules(31));
    assert_eq!((runs.dirty(), runs.pinned()), (0, 31), "one granule is in use");
    assert!(runs.take_dirty(chunks, 1).is_none());
    runs.insert(chunks, GranuleIdx(63), ONE);
    assert_eq!((runs.dirty(), runs.pinned()), (512, 0));
    assert_eq!(runs.take_dirty(chunks, 1), Some((GranuleIdx(32), unit)));
}

#[test]
fn a_huge_page_that_is_given_up_is_purged_in_part() {
    let mut fresh = Fresh::new(96);
    let (runs, chunks) = fresh.parts();
    runs.start_units(GranuleIdx(32));
    assert!(runs.take_at(chunks, GranuleIdx(0), Granules(96)));
    soil(chunks, GranuleIdx(40), Granules(2), 16);
    runs.insert(chunks, GranuleIdx(40), Granules(4));
    runs.break_units(chunks);
    assert_eq!((runs.dirty(), runs.pinned()), (32, 0));
    assert_eq!(runs.take_dirty(chunks, 99), Some((GranuleIdx(40), Granules(2))));
}

#[test]
fn what_was_forgotten_is_found_no_more_and_can_be_freed_again() {
    // Across the end of a chunk; under Miri of the first: each granule forgotten costs it a while.
    const FAR: u32 = if cfg!(miri) { 250 } else { 4090 };
    let mut table = vec![Chunk::NOTHING; 20];
    let (mut runs, chunks) = (Runs::new(), Chunks::new(&mut table));
    for (head, len) in [(7, 9), (FAR, 20)] {
        soil(chunks, GranuleIdx(head), Granules(len), 1);
        runs.insert(chunks, GranuleIdx(head), Granules(len));
    }
    runs.reset();
    forget(chunks, 0, FAR + 60);
    runs.insert(chunks, GranuleIdx(FAR + 60), ONE);
    assert_eq!(runs.take_dirty(chunks, 1), None);
    assert_eq!(runs.take_first(chunks, Granules(2), ONE, 0), None);
    runs.insert(chunks, GranuleIdx(FAR + 9), Granules(3));
    assert_eq!(runs.take_dirty(chunks, 9), Some((GranuleIdx(FAR + 9), Granules(3))));
    assert_eq!(runs.take_first(chunks, ONE, ONE, 0), Some(GranuleIdx(FAR + 60)));
}

#[test]
fn the_holders_of_a_chunk_are_the_first_of_what_sums_it_up() {
    assert_eq!(holders(0x1234).collect::<Vec<_>>(), [0x1230, 0x1200, 0x1000, 0]);
}

/// The same operations on a plain bitmap.
struct Shadow {
    free: Vec<bool>,
    dirty: Vec<u8>,
    /// Free granules of huge pages that were given up.
    broken: Vec<bool>,
    units_from: usize,
}

impl Shadow {
    fn first_fit(&self, len: usize) -> Option<usize> {
        (0..=self.free.len().checked_sub(len)?).find(|&at| self.free[at..at + len].iter().all(|&f| f))
    }

    fn unit(&self, at: usize) -> Option<std::ops::Range<usize>> {
        let start = at.checked_sub((at.checked_sub(self.units_from)?) % UNIT as usize)?;
        Some(start..start + UNIT as usize)
    }

    fn is_whole(&self, at: usize) -> bool {
        self.unit(at).is_some_and(|unit| unit.end <= self.free.len() && self.free[unit].iter().all(|&f| f))
    }

    fn set_free(&mut self, range: std::ops::Range<usize>, free: bool) {
        let whole: Vec<bool> = (0..self.free.len()).map(|at| self.is_whole(at)).collect();
        for at in range {
            self.free[at] = free;
            self.broken[at] = false;
        }
        for (at, whole) in whole.into_iter().enumerate() {
            if whole || self.is_whole(at) {
                self.broken[at] = false;
            }
        }
    }

    fn break_units(&mut self) {
        for at in self.units_from..self.free.len() {
            self.broken[at] |= self.free[at] && !self.is_whole(at) && self.dirty[at] > 0;
        }
    }

    /// Purgeable pages, and pinned ones.
    fn pages(&self) -> (u32, u32) {
        let (mut purgeable, mut pinned) = (0, 0);
        for at in (0..self.free.len()).filter(|&at| self.free[at]) {
            let dirty = self.dirty[at] as u32;
            match self.unit(at) {
                Some(unit) if self.is_whole(at) => {
                    let soiled = self.dirty[unit.clone()].iter().any(|&d| d > 0);
                    purgeable += if at == unit.start && soiled { UNIT_PAGES } else { 0 };
                }
                Some(_) if !self.broken[at] => pinned += dirty,
                _ => purgeable += dirty,
            }
        }
        (purgeable, pinned)
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 512 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence_agrees_with_a_bitmap(
        units_from in prop::sample::select(vec![0usize, 8, 40, 96]),
        // Across a boundary of each level of summaries.
        far in prop::sample::select(vec![0u32, 192, 4032, if cfg!(miri) { 4032 } else { 65472 }]),
        ops in prop::collection::vec(
            (0u8..6, 1u32..9, any::<prop::sample::Index>()),
            1..if cfg!(miri) { 24 } else { 160 },
        ),
    ) {
        // Granules as the bitmap knows them: two pieces, of which the second is far from the first.
        const COUNT: usize = 96;
        const GAP: usize = 48;
        let granule = |at: usize| GranuleIdx(at as u32 + if at > GAP { far } else { 0 });
        let index = |granule: GranuleIdx| {
            if granule.0 < GAP as u32 { granule.0 as usize } else { (granule.0 - far) as usize }
        };
        let mut table = vec![Chunk::NOTHING; (far as usize + COUNT).div_ceil(CHUNK)];
        let (mut runs, chunks) = (Runs::new(), Chunks::new(&mut table));
        if units_from < COUNT {
            runs.start_units(granule(units_from));
        }
        runs.insert(chunks, GranuleIdx(0), Granules(GAP as u32));
        runs.insert(chunks, granule(GAP + 1), Granules((COUNT - GAP - 1) as u32));
        let mut free = vec![true; COUNT];
        free[GAP] = false;
        let mut shadow = Shadow { free, dirty: vec![0; COUNT], broken: vec![false; COUNT], units_from };
        let mut held: Vec<(usize, usize)> = Vec::new();
        for (op, len, pick) in ops {
            match op {
                0 | 1 => {
                    let len = if op == 1 { len * 4 } else { len };
                    let got = runs.take_first(chunks, Granules(len), ONE, 0).map(index);
                    prop_assert_eq!(got, shadow.first_fit(len as usize));
                    if let Some(at) = got {
                        shadow.set_free(at..at + len as usize, false);
                        held.push((at, len as usize));
                    }
                }
                2 | 3 if !held.is_empty() => {
                    let (at, len) = held.swap_remove(pick.index(held.len()));
                    let pages = (len % 3) as u8 * 8;
                    let (head, range) = (granule(at), at..at + len);
                    soil(chunks, head, Granules(len as u32), pages);
                    runs.insert(chunks, head, Granules(len as u32));
                    for at in range.clone() {
                        shadow.dirty[at] = shadow.dirty[at].max(pages);
                    }
                    shadow.set_free(range, true);
                }
                4 => {
                    let (purgeable, _) = shadow.pages();
                    if let Some((head, len)) = runs.take_dirty(chunks, 8) {
                        let range = index(head)..index(head) + len.0 as usize;
                        prop_assert!(shadow.free[range.clone()].iter().all(|&f| f));
                        shadow.set_free(range.clone(), false);
                        let (left, _) = shadow.pages();
                        prop_assert!(left < purgeable);
                        clean(chunks, head, len);
                        shadow.dirty[range.clone()].fill(0);
                        runs.insert(chunks, head, len);
                        shadow.set_free(range, true);
                    } else {
                        prop_assert_eq!(purgeable, 0);
                    }
                }
                5 if len == 1 => {
                    runs.break_units(chunks);
                    shadow.break_units();
                }
                _ => {}
            }
            let free = shadow.free.iter().filter(|&&f| f).count() as u32;
            prop_assert_eq!(runs.free(), Granules(free));
            prop_assert_eq!((runs.dirty(), runs.pinned()), shadow.pages());
        }
    }
}
