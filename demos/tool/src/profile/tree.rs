//! A profile as text: the callers as a tree, and sites one by one.
//!
//! A function with one caller that matters stands below it in the same column: only where the way parts the lines are
//! moved in, and marked. So a stack of forty fits a narrow terminal.

use std::collections::BTreeMap;

use brkmap_base::style::{FAINT, STRONG, paint};

use super::sites::Sites;
use super::{Value, signed};

#[derive(Default)]
struct Node<'a> {
    bytes: f64,
    below: BTreeMap<&'a str, Node<'a>>,
}

impl<'a> Node<'a> {
    fn of(sites: &'a Sites, value: Value) -> Self {
        let mut root = Node::default();
        for (stack, bytes) in sites.with(value) {
            root.bytes += bytes;
            let mut node = &mut root;
            for name in stack {
                node = node.below.entry(name).or_default();
                node.bytes += bytes;
            }
        }
        root
    }

    /// The largest first, those that matter.
    fn sorted(&self, least: f64) -> Vec<(&'a str, &Node<'a>)> {
        let mut below: Vec<_> = self.below.iter().map(|(name, node)| (*name, node)).collect();
        below.retain(|(_, node)| node.bytes.abs() >= least && node.bytes != 0.0);
        below.sort_by(|(_, one), (_, other)| other.bytes.abs().total_cmp(&one.bytes.abs()));
        below
    }
}

/// Columns of the figures: bytes, and the share.
const FIGURES: usize = 18;

fn line(bytes: f64, total: f64, indent: usize, name: &str, width: usize) -> String {
    let share = if total == 0.0 { 0.0 } else { 100.0 * bytes / total };
    // In a difference shares say nothing: it may be 0 in all.
    let share = if total > 0.0 && bytes >= 0.0 { format!("{share:>4.0} %") } else { "      ".to_owned() };
    let indent = indent.min(width.saturating_sub(FIGURES + 20));
    let room = width.saturating_sub(FIGURES + indent);
    let name = shortened(name, room);
    format!("{:>10} {} {}{name}", signed(bytes, total <= 0.0), paint(FAINT, share), " ".repeat(indent))
}

/// A name without its middle, where it is too long: both ends say what it is.
fn shortened(name: &str, room: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= room || room < 8 {
        return letters.into_iter().take(room.max(1)).collect();
    }
    let front = (room - 1) / 3;
    let back = room - 1 - front;
    let (front, back) = (&letters[..front], &letters[letters.len() - back..]);
    front.iter().chain(&['…']).chain(back).collect()
}

/// The tree, without what is less than `least` per cent.
pub fn lines(sites: &Sites, value: Value, least: f64, width: usize) -> Vec<String> {
    let root = Node::of(sites, value);
    let largest = root.below.values().map(|node| node.bytes.abs()).fold(0.0, f64::max);
    let least = least / 100.0 * root.bytes.abs().max(largest);
    let mut lines = Vec::new();
    below(&root, root.bytes, least, 0, width, &mut lines);
    lines
}

fn below(node: &Node, total: f64, least: f64, indent: usize, width: usize, lines: &mut Vec<String>) {
    let sorted = node.sorted(least);
    let parts = sorted.len() > 1;
    let indent = if parts { indent + 2 } else { indent };
    for (name, inner) in &sorted {
        // Where the way parts each begins with a mark, and goes on without.
        lines.push(line(
            inner.bytes,
            total,
            indent,
            &format!("{} {name}", if parts { '▸' } else { ' ' }),
            width,
        ));
        below(inner, total, least, indent, width, lines);
    }
    let (shown, all): (f64, f64) =
        (sorted.iter().map(|(_, node)| node.bytes).sum(), node.below.values().map(|node| node.bytes).sum());
    if !sorted.is_empty() && (all - shown).abs() >= least.max(1.0) {
        lines.push(line(all - shown, total, indent, "▸ others", width));
    }
}

/// The innermost functions with their next callers, the largest first.
pub fn by_site(sites: &Sites, value: Value, least: f64, width: usize) -> Vec<String> {
    const CALLERS: usize = 4;
    let (total, mut all) = (sites.total(value), BTreeMap::<&[String], f64>::new());
    for (stack, bytes) in sites.with(value) {
        *all.entry(&stack[stack.len().saturating_sub(CALLERS)..]).or_default() += bytes;
    }
    let mut all: Vec<_> = all.into_iter().filter(|(_, bytes)| *bytes >= least / 100.0 * total).collect();
    all.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let mut lines = Vec::new();
    for (stack, bytes) in all {
        let mut names = stack.iter().rev();
        let site = names.next().map_or("nobody", String::as_str);
        lines.push(paint(STRONG, line(bytes, total, 0, site, width)));
        let room = width.saturating_sub(FIGURES + 2);
        lines.extend(
            names.map(|name| paint(FAINT, format!("{}{}", " ".repeat(FIGURES + 2), shortened(name, room)))),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_both_ends() {
        assert_eq!(shortened("short", 10), "short");
        assert_eq!(shortened("core::iter::adapters::map::Map::next", 12), "cor…ap::next");
        for room in 1..60 {
            let long = "alloc::collections::btree::map::entry::VacantEntry<K,V,A>::insert_entry";
            assert!(shortened(long, room).chars().count() <= room, "{room}");
        }
    }

    #[test]
    fn a_line_fits_its_width() {
        for width in [60, 80, 100] {
            for indent in [0, 10, 200] {
                let line = line(123_456_789.0, 1e9, indent, &"name".repeat(60), width);
                let plain = anstream::adapter::strip_str(&line).to_string();
                assert!(plain.chars().count() <= width, "{width} {indent}: {plain}");
            }
        }
    }
}
