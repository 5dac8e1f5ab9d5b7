//! What `brkmap compare` saw, in words.
//!
//! Every sentence is made from the cells: a reason that only one allocator can have is given for that
//! allocator, and only where its cells show the effect.

use super::bytes::Bytes;
use super::compare::{Comparison, Observed, Row};
use super::contender::Kind;
use super::marker::Phase;
use super::observe::{Cell, Served};
use super::syscall::Syscall;

pub fn words(comparison: &Comparison) -> Vec<String> {
    let sizes = &comparison.sizes;
    let mut words = Vec::new();
    for row in &comparison.rows {
        words.push(choices(row, sizes));
        words.extend(changes(row, sizes));
        words.push(frees(row, sizes));
        words.push(growth(row, sizes));
    }
    words.extend(differences(comparison));
    words.push(faults(comparison));
    words
}

/// Where the first request of each size was served from.
fn choices(row: &Row, sizes: &[Bytes]) -> String {
    let groups = grouped(row, sizes, |size, observed| first(observed).map(|cell| place(cell, size)));
    let parts: Vec<_> = groups.iter().map(|(place, sizes)| format!("{} from {place}", list(sizes))).collect();
    format!("{}: {}.", row.name, parts.join("; "))
}

fn place(cell: &Cell, size: Bytes) -> &'static str {
    match cell.served {
        Served::Break => "the break (brk)",
        // Room for a header, an alignment and a guard, and no room for a second such block.
        Served::Fresh { length } if length < 2 * size.0 + 64 * Bytes::KIB => "a mapping of its own (mmap)",
        Served::Fresh { .. } => "a new, larger mapping (mmap)",
        Served::Kept { .. } => "a mapping made before the first request",
        Served::Elsewhere => "memory that is neither break nor mapping",
        Served::Refused | Served::Nothing => "nowhere: it was refused",
    }
}

/// Whether later requests are served as the first one was.
fn changes(row: &Row, sizes: &[Bytes]) -> Vec<String> {
    let name = &row.name;
    let groups = grouped(row, sizes, |_, observed| {
        let first = kind(first(observed)?);
        let second = kind(observed.cell(Phase::Second)?);
        let again = observed.cell(Phase::Again)?;
        let unmapped = used(observed.cell(Phase::FreeBoth)?, Syscall::Munmap);
        Some((first, second, kind(again), unmapped, again.calls.is_empty()))
    });
    let mut words = Vec::new();
    for ((first, second, again, unmapped, silent), sizes) in groups {
        let sizes = list(&sizes);
        if first == "mmap" && second == "mmap" && again == "brk" && unmapped && row.kind == Kind::Libc {
            words.push(format!(
                "{name} serves the request after the free from the break at {sizes}, where it mapped the first: \
                 freeing a mapped block raised its dynamic mmap threshold (mallopt(3), M_MMAP_THRESHOLD)."
            ));
        } else if first != second || first != again {
            words.push(format!(
                "{name} changes its choice at {sizes}: {first} for the first request, {second} for the second, \
                 {again} after the free."
            ));
        } else if first == "mmap" && silent {
            words.push(format!(
                "{name} kept a freed mapping and served {sizes} from it without a system call."
            ));
        }
    }
    let steady = row.observed.iter().all(|observed| {
        let kinds = [Phase::First, Phase::Second, Phase::Again].map(|phase| observed.cell(phase).map(kind));
        kinds.iter().all(|kind| kind.is_some() && *kind == kinds[0])
    });
    if steady && row.observed.len() > 1 {
        let reason = if row.kind == Kind::Brkmap { ": its threshold is static" } else { "" };
        words.push(format!("{name} makes the same choice for a size every time{reason}."));
    }
    words
}

/// What free asked of the kernel.
fn frees(row: &Row, sizes: &[Bytes]) -> String {
    let groups = grouped(row, sizes, |_, observed| {
        let cell = observed.cell(Phase::FreeBoth)?;
        let lowered = cell.calls.iter().any(|call| call.moved() < 0);
        let ways = [
            (lowered, "lowers the break"),
            (used(cell, Syscall::Munmap), "unmaps"),
            (used(cell, Syscall::Madvise), "returns pages by madvise"),
            (used(cell, Syscall::Mprotect), "closes pages by mprotect"),
        ];
        let ways: Vec<_> = ways.iter().filter(|(did, _)| *did).map(|(_, way)| *way).collect();
        Some(if ways.is_empty() { "keeps the memory".to_owned() } else { ways.join(" and ") })
    });
    let parts: Vec<_> = groups.iter().map(|(way, sizes)| format!("{way} at {}", list(sizes))).collect();
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
    let parts: Vec<_> = groups.iter().map(|(way, sizes)| format!("{way} at {}", list(sizes))).collect();
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

/// Where two allocators answer the same first request differently.
fn differences(comparison: &Comparison) -> Vec<String> {
    let mut words = Vec::new();
    for (at, size) in comparison.sizes.iter().enumerate() {
        let mut sides: Vec<(&str, Vec<String>)> = Vec::new();
        for row in &comparison.rows {
            let Some(kind) = first(&row.observed[at]).map(kind) else { continue };
            match sides.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, names)) => names.push(row.name.clone()),
                None => sides.push((kind, vec![row.name.clone()])),
            }
        }
        if sides.len() < 2 {
            continue;
        }
        let parts: Vec<_> = sides.iter().map(|(kind, names)| format!("{kind} for {}", join(names))).collect();
        let reason = comparison.rows.iter().find_map(|row| header_reason(row, at, *size)).unwrap_or_default();
        words.push(format!("They differ at {size}: {}{reason}.", parts.join(", ")));
    }
    if words.is_empty() && comparison.rows.len() > 1 {
        words.push("All of them choose alike for the first request of each size asked here.".into());
    }
    words
}

/// glibc compares the size of the *chunk* with its threshold: request and 8 bytes of header, rounded
/// up to 16. Just below 128 KiB that alone makes the difference.
fn header_reason(row: &Row, at: usize, size: Bytes) -> Option<String> {
    let threshold = 128 * Bytes::KIB;
    let chunk = (size.0 + 8).next_multiple_of(16);
    let explains =
        cfg!(target_env = "gnu") && row.kind == Kind::Libc && size.0 < threshold && chunk >= threshold;
    let mapped = first(&row.observed[at]).is_some_and(|cell| kind(cell) == "mmap");
    (explains && mapped).then(|| {
        format!(
            "; {} compares the request with its header, {chunk} B, with its threshold, {threshold} B",
            row.name
        )
    })
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

fn list(sizes: &[Bytes]) -> String {
    join(&sizes.iter().map(Bytes::to_string).collect::<Vec<_>>())
}

fn join(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests;
