use super::*;
use proptest::prelude::*;

/// So many granules, all of them one free run.
fn fresh(count: u32) -> Box<Runs> {
    let mut runs = Box::new(Runs::nothing());
    runs.insert(0..count);
    runs
}

#[test]
fn the_lowest_fit_is_taken() {
    let mut runs = fresh(16);
    let all: Vec<_> = (0..16).map(|_| runs.take_first(1, 1).unwrap()).collect();
    assert_eq!(all, (0..16).collect::<Vec<_>>());
    assert!(runs.take_first(1, 1).is_none());
    for head in [9, 3, 4, 12] {
        runs.insert(head..head + 1);
    }
    assert_eq!(runs.take_first(2, 1), Some(3));
    assert_eq!(runs.take_first(1, 1), Some(9));
}

#[test]
fn touching_runs_become_one() {
    let mut runs = fresh(8);
    assert!(runs.take_exactly(0..8));
    for head in [0, 2, 1, 7, 3, 5, 6, 4] {
        runs.insert(head..head + 1);
    }
    assert_eq!(runs.last(8), 0..8);
    assert_eq!(runs.last(9), 9..9);
}

#[test]
fn aligned_runs_leave_both_sides_free() {
    let mut runs = fresh(64);
    runs.take_first(3, 1).unwrap();
    assert_eq!(runs.take_first(4, 16), Some(16));
    assert_eq!(runs.free(), 64 - 7);
    assert_eq!(runs.take_first(1, 1), Some(3));
}

#[test]
fn the_highest_dirty_part_is_purged_first() {
    let mut runs = fresh(10);
    assert!(runs.take_exactly(0..10));
    runs.mark_dirty(2..5, 16);
    runs.insert(0..9);
    assert_eq!(runs.dirty(), 48);
    assert_eq!(runs.take_dirty(20), Some(3..5));
    assert_eq!(runs.dirty(), 16);
    runs.clean(3..5);
    runs.insert(3..5);
    assert_eq!(runs.take_dirty(1), Some(2..3));
    assert!(runs.take_dirty(1).is_none());
}

#[test]
fn the_clean_end_is_taken_up_to_what_is_dirty() {
    let mut runs = fresh(20);
    assert!(runs.take_exactly(7..8));
    runs.mark_dirty(7..8, 3);
    runs.insert(7..8);
    assert_eq!(runs.take_clean_end(20, 13), None);
    assert_eq!(runs.take_clean_end(20, 12), Some(8..20));
    assert_eq!((runs.last(8), runs.free()), (0..8, 8));
}

#[test]
fn what_was_forgotten_is_found_no_more_and_can_be_freed_again() {
    let mut runs = fresh(40);
    assert!(runs.take_exactly(30..33));
    runs.mark_dirty(30..33, 1);
    runs.insert(30..33);
    runs.forget();
    assert_eq!((runs.take_first(1, 1), runs.take_dirty(1), runs.free()), (None, None, 0));
    runs.insert(29..34);
    assert_eq!(runs.take_dirty(9), Some(30..33), "their pages were kept");
    assert_eq!(runs.take_first(1, 1), Some(29));
}

/// The same operations on a plain bitmap.
struct Shadow {
    free: Vec<bool>,
    dirty: Vec<u8>,
}

impl Shadow {
    fn first_fit(&self, len: usize) -> Option<usize> {
        let mut fits = 0;
        let end = self.free.iter().position(|&free| {
            fits = if free { fits + 1 } else { 0 };
            fits == len
        })?;
        Some(end + 1 - len)
    }

    fn purgeable(&self) -> u32 {
        self.free.iter().zip(&self.dirty).map(|(&free, &dirty)| if free { dirty as u32 } else { 0 }).sum()
    }
}

fn range(granules: &Range<u32>) -> Range<usize> {
    granules.start as usize..granules.end as usize
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 1 } else { 512 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence_agrees_with_a_bitmap(
        // Across boundaries of both levels of summaries, and at the block's end.
        count in prop::sample::select(vec![96u32, 300, 1024]),
        ops in prop::collection::vec(
            (0u8..5, 1u32..9, any::<prop::sample::Index>()),
            1..if cfg!(miri) { 24 } else { 160 },
        ),
    ) {
        let mut runs = fresh(count);
        let mut shadow = Shadow { free: vec![true; count as usize], dirty: vec![0; count as usize] };
        let mut held: Vec<Range<u32>> = Vec::new();
        for (op, len, pick) in ops {
            match op {
                0 | 1 => {
                    let len = if op == 1 { len * 30 } else { len };
                    let got = runs.take_first(len, 1);
                    prop_assert_eq!(got.map(|at| at as usize), shadow.first_fit(len as usize));
                    if let Some(at) = got {
                        held.push(at..at + len);
                        shadow.free[range(&(at..at + len))].fill(false);
                    }
                }
                2 | 3 if !held.is_empty() => {
                    let granules = held.swap_remove(pick.index(held.len()));
                    let pages = (len % 3) as u8 * 8;
                    runs.mark_dirty(granules.clone(), pages);
                    runs.insert(granules.clone());
                    for at in range(&granules) {
                        shadow.dirty[at] = shadow.dirty[at].max(pages);
                    }
                    shadow.free[range(&granules)].fill(true);
                }
                4 => {
                    let purgeable = shadow.purgeable();
                    if let Some(taken) = runs.take_dirty(8) {
                        prop_assert!(shadow.free[range(&taken)].iter().all(|&f| f));
                        runs.clean(taken.clone());
                        shadow.dirty[range(&taken)].fill(0);
                        prop_assert!(shadow.purgeable() < purgeable);
                        runs.insert(taken);
                    } else {
                        prop_assert_eq!(purgeable, 0);
                    }
                }
                _ => {}
            }
            prop_assert_eq!(runs.free(), shadow.free.iter().filter(|&&f| f).count() as u32);
            prop_assert_eq!(runs.dirty(), shadow.purgeable());
            let longest = shadow.free.split(|&free| !free).map(|run| run.len()).max().unwrap();
            prop_assert_eq!(runs.summary(), Summary::new(longest as u16, shadow.purgeable() > 0));
        }
    }
}
