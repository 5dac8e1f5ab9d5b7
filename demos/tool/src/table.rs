//! The table of `brkmap compare`, for reading.

use anstream::adapter::strip_str;
use brkmap_base::error::Result;
use brkmap_base::style::{FAILURE, FAINT, STRONG, paint};
use brkmap_base::wrap::wrap;
use brkmap_base::{Bytes, output};
use brkmap_tracer::{Call, Syscall};

use crate::comparison::{Comparison, PHASES, Row};
use crate::console;
use crate::observe::{Cell, Served};

pub fn print(comparison: &Comparison, words: &[String]) -> Result<()> {
    let width = output::width();
    for table in tables(comparison, &comparison.rows, width) {
        output::line(format_args!("{table}\n"))?;
    }
    let legend = "first, second: requests of this size, both live. again: one more after both were freed. \
                  grow: realloc to twice, then four times the size. In brackets: no system call, the memory \
                  came from there. reserve: an mmap of address space without memory (PROT_NONE). faults A+B: pages faulted in by the call, then by writing to every \
                  page.";
    output::line(format_args!("{}\n", paint(FAINT, wrap(legend, width, ""))))?;
    for word in words {
        output::line(wrap(&format!("• {word}"), width, "  "))?;
    }
    Ok(())
}

/// As many allocators side by side as fit the width, one at least; the others in tables below.
fn tables(comparison: &Comparison, rows: &[Row], width: usize) -> Vec<String> {
    let columns = |table: &str| {
        table.lines().map(|line| strip_str(line).to_string().chars().count()).max().unwrap_or_default()
    };
    let fitting = (1..=rows.len()).rev().map(|count| (count, table(comparison, &rows[..count])));
    let Some((count, first)) =
        fitting.into_iter().find(|(count, table)| *count == 1 || columns(table) <= width)
    else {
        return Vec::new();
    };
    let mut found = vec![first];
    found.extend(tables(comparison, &rows[count..], width));
    found
}

fn table(comparison: &Comparison, rows: &[Row]) -> String {
    let mut header = vec!["request".to_owned()];
    for row in rows {
        header.extend([row.name.clone(), "faults".to_owned()]);
    }
    let mut table = console::table(header);
    for (at, size) in comparison.sizes.iter().enumerate() {
        table.add_row([paint(STRONG, size)]);
        for (phase, name, _) in PHASES {
            let mut line = vec![comfy_table::Cell::new(format!("  {name}"))];
            for row in rows {
                let (calls, faults) = row.observed[at].cell(phase).map(shown).unwrap_or_default();
                line.extend([comfy_table::Cell::new(calls), console::right(faults)]);
            }
            table.add_row(line);
        }
    }
    table.trim_fmt()
}

fn shown(cell: &Cell) -> (String, String) {
    let mut lines = lines(cell);
    if cell.served == Served::Refused {
        lines.push(paint(FAILURE, "refused"));
    } else if lines.is_empty() {
        lines.push(paint(FAINT, silent(cell.served)));
    }
    let faults = match cell.touch_faults {
        Some(touching) => format!("{}+{touching}", cell.faults),
        None => cell.faults.to_string(),
    };
    (lines.join("\n"), faults)
}

/// The calls of a cell by kind, a line each; first the one that the answer lies in.
fn lines(cell: &Cell) -> Vec<String> {
    let (answer, rest): (Vec<&Call>, Vec<&Call>) = cell
        .calls
        .iter()
        .filter(|call| !asks(call))
        .partition(|call| call.maps(cell.pointer) && !call.reserves());
    let (reservations, rest): (Vec<&Call>, Vec<&Call>) = rest.into_iter().partition(|call| call.reserves());
    let mut groups: Vec<(String, Vec<&Call>)> = Vec::new();
    for calls in [&answer, &rest] {
        for kind in Syscall::MEMORY {
            let of_kind = calls.iter().copied().filter(|call| call.syscall == kind);
            groups.push((kind.to_string(), of_kind.collect()));
        }
    }
    groups.push(("reserve".to_owned(), reservations));
    groups
        .into_iter()
        .filter(|(_, calls)| !calls.is_empty())
        .map(|(name, calls)| together(&name, &calls))
        .collect()
}

/// Calls of one kind, as one line.
fn together(name: &str, calls: &[&Call]) -> String {
    let syscall = calls[0].syscall;
    let failed = calls.iter().filter(|call| call.failed() || call.refused()).count();
    let bytes = Bytes(calls.iter().map(|call| call.bytes()).sum());
    let amount = if syscall == Syscall::Brk {
        let moved: i64 = calls.iter().map(|call| call.moved()).sum();
        format!("{}{}", if moved < 0 { '-' } else { '+' }, Bytes(moved.unsigned_abs()))
    } else if calls[0].reserves() {
        bytes.rounded()
    } else {
        bytes.to_string()
    };
    let times = if calls.len() > 1 { format!("{}× ", calls.len()) } else { String::new() };
    let style = if calls[0].reserves() { FAINT } else { console::style(syscall) };
    let mut line = format!("{times}{} {amount}", paint(style, name));
    if failed > 0 {
        line += &paint(FAILURE, format!(" ({failed} failed)"));
    }
    line
}

/// `brk(NULL)` only asks where the break is.
fn asks(call: &Call) -> bool {
    call.syscall == Syscall::Brk && call.args[0] == 0
}

fn silent(served: Served) -> &'static str {
    match served {
        Served::Break => "(break)",
        Served::Fresh { .. } | Served::Kept { .. } => "(mapping)",
        Served::Elsewhere => "(elsewhere)",
        Served::Refused | Served::Nothing => "-",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brkmap_tracer::Outcome;

    fn brk(asked: u64, before: u64) -> Call {
        let args = [asked, 0, 0, 0, 0, 0];
        let now = if asked == 0 { before } else { asked };
        let outcome = Outcome::Returned(now);
        Call { tid: 1, syscall: Syscall::Brk, args, outcome, break_before: Some(before) }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_growing_break_is_shown_without_the_question_before_it() {
        let calls = vec![brk(0, 0x1000), brk(0x22000, 0x1000)];
        let cell = Cell { calls, served: Served::Break, faults: 2, touch_faults: Some(0), ..Cell::default() };
        let (calls, faults) = shown(&cell);
        assert_eq!(plain(&calls), "brk +132 KiB");
        assert_eq!(faults, "2+0");
    }

    #[test]
    fn a_cell_without_calls_says_where_the_memory_came_from() {
        let kept = Cell { served: Served::Kept { length: 4096 }, ..Cell::default() };
        assert_eq!(plain(&shown(&kept).0), "(mapping)");
        assert_eq!(plain(&shown(&Cell::default()).0), "-");
        let refused = Cell { served: Served::Refused, ..Cell::default() };
        assert_eq!(plain(&shown(&refused).0), "refused");
    }

    #[test]
    fn the_mapping_that_answers_comes_before_what_sets_the_heap_up() {
        let mmap = |start, length, prot| {
            let args = [0, length, prot, 0x22, u64::MAX, 0];
            let outcome = Outcome::Returned(start);
            Call { tid: 1, syscall: Syscall::Mmap, args, outcome, break_before: None }
        };
        let calls = vec![mmap(0x10000, 4096, 3), mmap(0x1000_0000, 1 << 30, 0), mmap(0x70000, 8192, 3)];
        let cell = Cell { calls, pointer: 0x70010, ..Cell::default() };
        assert_eq!(plain(&shown(&cell).0), "mmap 8 KiB\nmmap 4 KiB\nreserve 1 GiB");
    }

    #[test]
    fn a_break_that_falls_is_negative() {
        let cell = Cell { calls: vec![brk(0x1000, 0x3000)], ..Cell::default() };
        assert_eq!(plain(&shown(&cell).0), "brk -8 KiB");
    }
}
