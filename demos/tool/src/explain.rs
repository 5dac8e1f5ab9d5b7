//! What `brkmap compare` saw, in words.
//!
//! Every sentence is made from the cells: a reason that only one allocator can have is given for that
//! allocator, and only where its cells show the effect.

mod changes;
mod differences;
#[cfg(test)]
mod tests;

use brkmap_base::Bytes;
use brkmap_probe::marker::Phase;
use brkmap_tracer::{Call, Syscall};

use crate::comparison::{Comparison, Observed, Row};
use crate::observe::{Cell, Served};

pub fn words(comparison: &Comparison) -> Vec<String> {
    let sizes = &comparison.sizes;
    let mut words = comparison.set.clone();
    for row in &comparison.rows {
        words.push(choices(row, sizes));
        words.extend(changes::changes(row, sizes));
        // Another threshold was set: then this is not why.
        words.extend(changes::header(row, sizes).filter(|_| comparison.default_settings));
        words.push(frees(row, sizes));
        words.push(growth(row, sizes));
    }
    words.extend(differences::differences(comparison));
    words.push(faults(comparison));
    words
}

/// Where the first request of each size was served from.
fn choices(row: &Row, sizes: &[Bytes]) -> String {
    let groups = grouped(row, sizes, |size, observed| first(observed).map(|cell| place(cell, size)));
    let parts: Vec<_> =
        groups.iter().map(|(place, members)| format!("{} from {place}", list(members, sizes))).collect();
    format!("{}: {}.", row.name, parts.join("; "))
}

fn place(cell: &Cell, size: Bytes) -> &'static str {
    match cell.served {
        Served::Break => "the break (brk)",
        Served::Fresh { .. } if is_own(cell, size) => "a mapping of its own (mmap)",
        Served::Fresh { .. } => "a new, larger mapping (mmap)",
        Served::Kept { .. } => "a mapping made before the first request",
        Served::Elsewhere => "memory that is neither break nor mapping",
        Served::Refused | Served::Nothing => "nowhere: it was refused",
    }
}

/// A mapping with room for a header, an alignment and a guard, and no room for a second such block.
fn is_own(cell: &Cell, size: Bytes) -> bool {
    matches!(cell.served, Served::Fresh { length } if length < 2 * size.0 + 64 * Bytes::KIB)
}

/// What free asked of the kernel.
fn frees(row: &Row, sizes: &[Bytes]) -> String {
    let groups = grouped(row, sizes, |_, observed| {
        let cell = observed.cell(Phase::FreeBoth)?;
        let lowered = cell.calls.iter().any(|call| call.moved() < 0);
        let ways = [
            (lowered, "lowers the break"),
            (used(cell, Syscall::Munmap), "unmaps"),
            (cell.calls.iter().any(Call::returns_pages), "returns pages by madvise"),
            (cell.calls.iter().any(Call::closes_pages), "closes pages by mprotect"),
        ];
        let ways: Vec<_> = ways.iter().filter(|(did, _)| *did).map(|(_, way)| *way).collect();
        Some(if ways.is_empty() { "keeps the memory".to_owned() } else { ways.join(" and ") })
    });
    let parts: Vec<_> =
        groups.iter().map(|(way, members)| format!("{way} at {}", list(members, sizes))).collect();
    format!("{} on free: {}.", row.name, parts.join("; "))
}

/// How realloc made room.
fn growth(row: &Row, sizes: &[Bytes]) -> String {
    let groups = grouped(row, sizes, |_, observed| {
        let [base, double, quadruple] =
            [Phase::Base, Phase::Double, Phase::Quadruple].map(|phase| observed.growth.cell(phase));
        let (first, second) = (way(base?, double?), way(double?, quadruple?));
        Some(if first == second { first.to_owned() } else { format!("{first}, then {second}") })
    });
    let parts: Vec<_> =
        groups.iter().map(|(way, members)| format!("{way} at {}", list(members, sizes))).collect();
    format!("{} on realloc to ×2 and ×4: {}.", row.name, parts.join("; "))
}

fn way(before: &Cell, after: &Cell) -> &'static str {
    let moves_break = after.calls.iter().any(|call| call.moved() > 0);
    match (before.pointer == after.pointer, after.served) {
        (_, Served::Refused) => "refused",
        _ if used(after, Syscall::Mremap) => "mremap, which copies nothing",
        (true, _) if moves_break => "in place, raising the break",
        (true, _) if used(after, Syscall::Mprotect) => "in place, opening pages by mprotect",
        (true, _) => "in place",
        (false, _) => "a copy to a new block",
    }
}

/// Page faults are what memory costs in the end.
fn faults(comparison: &Comparison) -> String {
    let totals = comparison.rows.iter().map(|row| {
        let cells = row
            .observed
            .iter()
            .flat_map(|one| one.requests.phases.values().chain(one.growth.phases.values()));
        let total: u64 = cells.map(|cell| cell.faults + cell.touch_faults.unwrap_or(0)).sum();
        format!("{} {total}", row.name)
    });
    format!("Page faults, all phases of all sizes together: {}.", totals.collect::<Vec<_>>().join(", "))
}

/// The side taken in each of the three requests of one size.
fn kinds(observed: &Observed) -> Option<[&'static str; 3]> {
    let [first, second, again] = REQUESTS.map(|(phase, _)| observed.cell(phase).map(kind));
    Some([first?, second?, again?])
}

fn alike(kinds: &[&str; 3]) -> bool {
    kinds.iter().all(|kind| *kind == kinds[0])
}

const REQUESTS: [(Phase, &str); 3] = [
    (Phase::First, "in the first request"),
    (Phase::Second, "in the second request"),
    (Phase::Again, "in the one after the free"),
];

fn first(observed: &Observed) -> Option<&Cell> {
    observed.requests.cell(Phase::First)
}

/// The side of the question: which system call is behind the memory.
fn kind(cell: &Cell) -> &'static str {
    match cell.served {
        Served::Break => "brk",
        Served::Fresh { .. } | Served::Kept { .. } => "mmap",
        Served::Elsewhere => "neither",
        Served::Refused | Served::Nothing => "a refusal",
    }
}

fn used(cell: &Cell, syscall: Syscall) -> bool {
    cell.calls.iter().any(|call| call.syscall == syscall && !call.failed())
}

/// Sizes with the same answer, in the order of the first of each.
fn grouped<K: PartialEq>(
    row: &Row,
    sizes: &[Bytes],
    key: impl Fn(Bytes, &Observed) -> Option<K>,
) -> Vec<(K, Vec<Bytes>)> {
    let mut groups: Vec<(K, Vec<Bytes>)> = Vec::new();
    for (size, observed) in sizes.iter().zip(&row.observed) {
        let Some(key) = key(*size, observed) else { continue };
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(*size),
            None => groups.push((key, vec![*size])),
        }
    }
    groups
}

fn list(sizes: &[Bytes], all: &[Bytes]) -> String {
    if sizes.len() == all.len() && all.len() > 2 {
        return "every size".into();
    }
    join(&sizes.iter().map(Bytes::to_string).collect::<Vec<_>>())
}

fn join(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
