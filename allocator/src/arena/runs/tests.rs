use super::*;
use proptest::prelude::*;

const ONE: Granules = Granules(1);

fn fresh(count: usize) -> (Runs, Vec<Node>) {
    let mut nodes = vec![Node::default(); count];
    let mut runs = Runs::new();
    runs.insert(&mut nodes, GranuleIdx(0), Granules(count as u32));
    (runs, nodes)
}

#[test]
fn the_lowest_fit_is_taken() {
    let (mut runs, mut nodes) = fresh(16);
    let all: Vec<_> = (0..16).map(|_| runs.take_first(&mut nodes, ONE, ONE, 0).unwrap().0).collect();
    assert_eq!(all, (0..16).collect::<Vec<_>>());
    assert!(runs.take_first(&mut nodes, ONE, ONE, 0).is_none());
    for head in [9, 3, 4, 12] {
        runs.insert(&mut nodes, GranuleIdx(head), ONE);
    }
    assert_eq!(runs.take_first(&mut nodes, Granules(2), ONE, 0), Some(GranuleIdx(3)));
    assert_eq!(runs.take_first(&mut nodes, ONE, ONE, 0), Some(GranuleIdx(9)));
}

#[test]
fn touching_runs_become_one() {
    let (mut runs, mut nodes) = fresh(8);
    assert!(runs.take_at(&mut nodes, GranuleIdx(0), Granules(8)));
    for head in [0, 2, 1, 7, 3, 5, 6, 4] {
        runs.insert(&mut nodes, GranuleIdx(head), ONE);
    }
    assert_eq!(runs.last(&nodes, 8), Some((GranuleIdx(0), Granules(8))));
}

#[test]
fn aligned_runs_leave_both_sides_free() {
    let (mut runs, mut nodes) = fresh(64);
    runs.take_first(&mut nodes, Granules(3), ONE, 0).unwrap();
    assert_eq!(runs.take_first(&mut nodes, Granules(4), Granules(16), 0), Some(GranuleIdx(16)));
    assert_eq!(runs.free(), Granules(64 - 7));
    assert_eq!(runs.take_first(&mut nodes, ONE, ONE, 0), Some(GranuleIdx(3)));
}

#[test]
fn the_highest_dirty_part_is_purged_first() {
    let (mut runs, mut nodes) = fresh(10);
    assert!(runs.take_at(&mut nodes, GranuleIdx(0), Granules(10)));
    soil(&mut nodes, GranuleIdx(2), Granules(3), 16);
    runs.insert(&mut nodes, GranuleIdx(0), Granules(9));
    assert_eq!(runs.dirty(), 48);
    assert_eq!(runs.take_dirty(&mut nodes, 20), Some((GranuleIdx(3), Granules(2))));
    assert_eq!(runs.dirty(), 16);
    clean(&mut nodes, GranuleIdx(3), Granules(2));
    runs.insert(&mut nodes, GranuleIdx(3), Granules(2));
    assert_eq!(runs.take_dirty(&mut nodes, 1).map(|(head, _)| head), Some(GranuleIdx(2)));
    assert!(runs.take_dirty(&mut nodes, 1).is_none());
}

/// The same operations on a plain bitmap.
struct Shadow {
    free: Vec<bool>,
    dirty: Vec<u16>,
}

impl Shadow {
    fn first_fit(&self, len: usize) -> Option<usize> {
        (0..=self.free.len().checked_sub(len)?).find(|&at| self.free[at..at + len].iter().all(|&f| f))
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence_agrees_with_a_bitmap(
        ops in prop::collection::vec((0u8..4, 1u32..9, any::<prop::sample::Index>()), 1..120),
    ) {
        const COUNT: usize = 96;
        let (mut runs, mut nodes) = fresh(COUNT);
        let mut shadow = Shadow { free: vec![true; COUNT], dirty: vec![0; COUNT] };
        let mut held: Vec<(u32, u32)> = Vec::new();
        for (op, len, index) in ops {
            match op {
                0 | 1 => {
                    let got = runs.take_first(&mut nodes, Granules(len), ONE, 0).map(|head| head.0 as usize);
                    prop_assert_eq!(got, shadow.first_fit(len as usize));
                    if let Some(at) = got {
                        shadow.free[at..at + len as usize].fill(false);
                        held.push((at as u32, len));
                    }
                }
                2 if !held.is_empty() => {
                    let (head, len) = held.swap_remove(index.index(held.len()));
                    let pages = (len % 3) as u16 * 8;
                    soil(&mut nodes, GranuleIdx(head), Granules(len), pages);
                    runs.insert(&mut nodes, GranuleIdx(head), Granules(len));
                    for at in head as usize..(head + len) as usize {
                        shadow.free[at] = true;
                        shadow.dirty[at] = shadow.dirty[at].max(pages);
                    }
                }
                3 => {
                    if let Some((head, len)) = runs.take_dirty(&mut nodes, 8) {
                        let range = head.0 as usize..(head.0 + len.0) as usize;
                        prop_assert!(shadow.free[range.clone()].iter().all(|&f| f));
                        prop_assert!(shadow.dirty[range.clone()].iter().any(|&d| d > 0));
                        clean(&mut nodes, head, len);
                        shadow.dirty[range].fill(0);
                        runs.insert(&mut nodes, head, len);
                    } else {
                        prop_assert!(!(0..COUNT).any(|at| shadow.free[at] && shadow.dirty[at] > 0));
                    }
                }
                _ => {}
            }
            let free = shadow.free.iter().filter(|&&f| f).count() as u32;
            let dirty: u32 = (0..COUNT).filter(|&at| shadow.free[at]).map(|at| shadow.dirty[at] as u32).sum();
            prop_assert_eq!(runs.free(), Granules(free));
            prop_assert_eq!(runs.dirty(), dirty);
        }
    }
}
