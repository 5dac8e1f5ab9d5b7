//! Several allocators, against each other.

use brkmap_base::Bytes;
use brkmap_probe::marker::Phase;

use super::{REQUESTS, join, kind, list};
use crate::comparison::Comparison;

/// Where the allocators answer the same request differently.
pub fn differences(comparison: &Comparison) -> Vec<String> {
    if comparison.rows.len() < 2 {
        return Vec::new();
    }
    let mut groups: Vec<([Option<String>; 3], Vec<Bytes>)> = Vec::new();
    for (at, size) in comparison.sizes.iter().enumerate() {
        let sides = REQUESTS.map(|(phase, _)| sides(comparison, at, phase));
        match groups.iter_mut().find(|(known, _)| *known == sides) {
            Some((_, sizes)) => sizes.push(*size),
            None => groups.push((sides, vec![*size])),
        }
    }
    let mut words = Vec::new();
    for (sides, sizes) in &groups {
        let sizes = list(sizes, &comparison.sizes);
        match sides {
            [None, None, None] => words.push(format!("All choose alike at {sizes}.")),
            [Some(first), second, again]
                if second.as_ref() == Some(first) && again.as_ref() == Some(first) =>
            {
                words.push(format!("They differ at {sizes}: {first}."));
            }
            _ => {
                let parts = REQUESTS
                    .iter()
                    .zip(sides)
                    .filter_map(|((_, when), side)| side.as_ref().map(|side| format!("{when} {side}")));
                words.push(format!("They differ at {sizes}: {}.", parts.collect::<Vec<_>>().join("; ")));
            }
        }
    }
    words
}

/// Who takes which side in one request; `None` when all take the same.
fn sides(comparison: &Comparison, at: usize, phase: Phase) -> Option<String> {
    let mut sides: Vec<(&str, Vec<String>)> = Vec::new();
    for row in &comparison.rows {
        let Some(kind) = row.observed[at].cell(phase).map(kind) else { continue };
        match sides.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, names)) => names.push(row.name.clone()),
            None => sides.push((kind, vec![row.name.clone()])),
        }
    }
    let parts: Vec<_> = sides.iter().map(|(kind, names)| format!("{kind} for {}", join(names))).collect();
    (sides.len() > 1).then(|| parts.join(", "))
}
