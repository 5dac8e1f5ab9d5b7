//! The words follow the cells: each sentence appears with its effect and is gone without it.

use super::*;
use crate::contender::Kind;
use crate::observe::Observation;
use brkmap_tracer::{Call, Outcome};

const FRESH: Served = Served::Fresh { length: 10 << 20 };

fn cell(served: Served, pointer: u64, calls: &[Syscall]) -> Cell {
    let calls = calls.iter().map(|&syscall| {
        let args = [0x1000, 4096, 4096, 1, 0, 0];
        Call { tid: 1, syscall, args, outcome: Outcome::Returned(0x1000), break_before: None }
    });
    Cell { calls: calls.collect(), served, pointer, faults: 1, touch_faults: Some(2) }
}

fn row(name: &str, kind: Kind, requests: [Cell; 4], growth: [Cell; 3]) -> Row {
    let [first, second, free, again] = requests;
    let [base, double, quadruple] = growth;
    let phases = |cells: Vec<(Phase, Cell)>| Observation { phases: cells.into_iter().collect() };
    let requests = phases(vec![
        (Phase::First, first),
        (Phase::Second, second),
        (Phase::FreeBoth, free),
        (Phase::Again, again),
    ]);
    let growth = phases(vec![(Phase::Base, base), (Phase::Double, double), (Phase::Quadruple, quadruple)]);
    Row { name: name.into(), kind, observed: vec![Observed { requests, growth }] }
}

fn mapped(name: &str, kind: Kind, again: Served) -> Row {
    let free = cell(Served::Nothing, 0, &[Syscall::Munmap]);
    let requests =
        [cell(FRESH, 1, &[Syscall::Mmap]), cell(FRESH, 2, &[Syscall::Mmap]), free, cell(again, 3, &[])];
    let growth = [cell(FRESH, 1, &[Syscall::Mmap]), cell(FRESH, 9, &[Syscall::Mremap]), cell(FRESH, 9, &[])];
    row(name, kind, requests, growth)
}

fn said(rows: Vec<Row>, size: u64) -> String {
    words(&Comparison { sizes: vec![Bytes(size)], rows, default_settings: true, set: Vec::new() }).join("\n")
}

#[test]
fn a_raised_threshold_is_named_only_where_libc_shows_it() {
    let size = 10 << 20;
    assert!(said(vec![mapped("glibc", Kind::Libc, Served::Break)], size).contains("dynamic mmap threshold"));
    assert!(!said(vec![mapped("glibc", Kind::Libc, FRESH)], size).contains("dynamic"));
    let other = said(vec![mapped("other", Kind::Other, Served::Break)], size);
    assert!(!other.contains("dynamic") && other.contains("changes its choice at 10 MiB"), "{other}");
}

#[test]
fn allocators_that_differ_are_set_against_each_other() {
    let small = |name: &str, served| {
        let request = || cell(served, 1, &[]);
        let nothing = cell(Served::Nothing, 0, &[]);
        row(name, Kind::Other, [request(), request(), nothing, request()], [request(), request(), request()])
    };
    let text = said(vec![small("one", Served::Break), small("two", FRESH)], 10);
    assert!(text.contains("They differ at 10 B: brk for one, mmap for two."), "{text}");
    let text = said(vec![small("one", Served::Break), small("two", Served::Break)], 10);
    assert!(text.contains("All choose alike at 10 B.") && !text.contains("differ"), "{text}");
}

#[test]
fn the_header_is_the_reason_only_where_it_tips_the_scale() {
    let brk = || {
        let request = || cell(Served::Break, 1, &[]);
        let nothing = cell(Served::Nothing, 0, &[]);
        row(
            "brkmap",
            Kind::Brkmap,
            [request(), request(), nothing, request()],
            [request(), request(), request()],
        )
    };
    let at = |size| said(vec![brk(), mapped("glibc", Kind::Libc, FRESH)], size);
    assert!(at(131_071).contains("that is 131088 B") || cfg!(not(target_env = "gnu")));
    assert!(!at(131_048).contains("header"));
    assert!(!at(1 << 20).contains("header"));
}

#[test]
fn a_heap_that_begins_with_room_for_one_is_told_from_a_threshold() {
    let mut grown = cell(Served::Break, 1, &[Syscall::Brk]);
    grown.calls[0].break_before = Some(0x1000);
    grown.calls[0].outcome = Outcome::Returned(0x22000);
    let growth = || cell(FRESH, 1, &[]);
    let libc = |first: Cell| {
        let requests =
            [first, cell(FRESH, 2, &[]), cell(Served::Nothing, 0, &[]), cell(Served::Break, 1, &[])];
        row("glibc", Kind::Libc, requests, [growth(), growth(), growth()])
    };
    let text = said(vec![libc(grown.clone())], 131_071);
    assert!(text.contains("begins with 132 KiB of break"), "{text}");
    grown.calls[0].outcome = Outcome::Returned(0x2000);
    let text = said(vec![libc(grown)], 131_071);
    assert!(!text.contains("begins with") && text.contains("changes its choice"), "{text}");
}

#[test]
fn a_mapping_that_is_kept_is_said_to_be_kept() {
    let size = 10 << 20;
    let again = Served::Kept { length: size };
    assert!(said(vec![mapped("x", Kind::Other, again)], size).contains("kept a freed mapping at 10 MiB"));
    assert!(!said(vec![mapped("x", Kind::Other, Served::Break)], size).contains("kept a freed"));
}

#[test]
fn growth_tells_a_moved_mapping_from_a_copy_and_from_standing_still() {
    let text = said(vec![mapped("x", Kind::Other, FRESH)], 10 << 20);
    assert!(text.contains("mremap, which copies nothing, then in place at 10 MiB"), "{text}");
    let copied = way(&cell(FRESH, 1, &[]), &cell(FRESH, 2, &[Syscall::Mmap, Syscall::Munmap]));
    assert_eq!(copied, "a copy to a new block");
    assert_eq!(way(&cell(FRESH, 1, &[]), &cell(Served::Refused, 0, &[])), "refused");
}

#[test]
fn lists_read_as_sentences_do() {
    assert_eq!(list(&[Bytes(10)], &[Bytes(10)]), "10 B");
    let (some, all) = ([10, 1024, 131_071].map(Bytes), [10, 1024, 131_071, 131_072].map(Bytes));
    assert_eq!(list(&some, &all), "10 B, 1 KiB and 131071 B");
    assert_eq!(list(&all, &all), "every size");
}
