//! The answer for reading.

use anstream::adapter::strip_str;
use brkmap_base::Bytes;
use brkmap_base::style::{FAILURE, FAINT, STRONG, paint};
use brkmap_base::wrap::wrap;
use brkmap_race::sample::{Quantity, Sample};
use brkmap_race::statistics::median;
use comfy_table::Cell;

use super::report::{Entry, Report};
use crate::console;

const NONE: &str = "–";

/// A column: its title and a cell for each allocator that raced.
type Column = (String, Vec<String>);

/// Tables, verdicts and remarks, no wider than `width` as far as names let them be.
pub fn text(report: &Report, width: usize) -> String {
    let raced = report.by_cpu();
    let mut text = String::new();
    for columns in [speed(report, &raced), memory(&raced), kernel(&raced)] {
        for table in tables(&raced, &columns, width) {
            text += &format!("{table}\n\n");
        }
    }
    for entry in &report.allocators {
        if let Some(failure) = &entry.failure {
            let words = format!("{} the command failed with {}: {failure}", paint(FAILURE, "✗"), entry.name);
            text += &format!("{}\n", wrap(&words, width, "  "));
        }
    }
    for sentence in &report.verdicts {
        text += &format!("{}\n", wrap(&format!("• {sentence}"), width, "  "));
    }
    for note in &report.notes {
        text += &format!("{}\n", wrap(&format!("• {note}"), width, "  "));
    }
    let legend = "In brackets: the 95 % interval. end RSS: what the command had when it was done. huge: pages of the \
                  whole machine while it ran, the least of all runs. copied: pages of files, seen at its end; those \
                  after a fork are not seen.";
    text + &format!("\n{}\n{}", wrap(&report.closing(), width, ""), paint(FAINT, wrap(legend, width, "")))
}

fn of(raced: &[&Entry], cell: impl Fn(&Entry) -> Option<String>) -> Vec<String> {
    raced.iter().map(|entry| cell(entry).unwrap_or_else(|| NONE.to_owned())).collect()
}

fn speed(report: &Report, raced: &[&Entry]) -> Vec<Column> {
    let reference = &report.reference;
    let ratio = |quantity: Quantity| {
        of(raced, |entry| {
            if entry.name == *reference {
                return Some("1".to_owned());
            }
            let interval = report.interval(quantity, &entry.name, reference)?;
            Some(format!("{:.3} ({:.3} to {:.3})", interval.middle, interval.low, interval.high))
        })
    };
    let time = |quantity: Quantity| of(raced, |entry| quantity.median(&entry.samples).map(milliseconds));
    vec![
        ("CPU".into(), time(Quantity::Cpu)),
        (format!("to {reference}"), ratio(Quantity::Cpu)),
        ("wall".into(), time(Quantity::Wall)),
        (format!("to {reference}"), ratio(Quantity::Wall)),
    ]
}

fn memory(raced: &[&Entry]) -> Vec<Column> {
    let kib = |kib: u64| Bytes(kib << 10).rounded();
    let of_samples = |count: fn(&Sample) -> u64| {
        of(raced, |entry| {
            let counts: Vec<f64> = entry.samples.iter().map(|sample| count(sample) as f64).collect();
            median(&counts).map(|count| format!("{count:.0}"))
        })
    };
    let peak = |entry: &Entry| Quantity::PeakRss.median(&entry.samples).map(|peak| kib(peak as u64));
    let huge = |entry: &Entry| entry.samples.iter().map(|sample| sample.huge_faults).min();
    vec![
        ("peak RSS".into(), of(raced, peak)),
        ("end RSS".into(), of(raced, |entry| entry.look.as_ref().map(|look| kib(look.end_kib)))),
        ("minor faults".into(), of_samples(|sample| sample.minor_faults)),
        ("major".into(), of_samples(|sample| sample.major_faults)),
        ("huge".into(), of(raced, |entry| huge(entry).map(|count| count.to_string()))),
        ("copied".into(), of(raced, |entry| entry.look.as_ref().map(|look| look.copied_pages.to_string()))),
    ]
}

/// The memory calls that somebody made.
fn kernel(raced: &[&Entry]) -> Vec<Column> {
    let looks = || raced.iter().filter_map(|entry| entry.look.as_ref());
    let mut names: Vec<&str> = looks().flat_map(|look| look.calls.keys()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let column = |name: &str| {
        let count = |entry: &Entry| {
            let look = entry.look.as_ref()?;
            Some(look.calls.get(name).copied().unwrap_or(0).to_string())
        };
        (name.to_owned(), of(raced, count))
    };
    names.into_iter().map(column).collect()
}

/// As many columns side by side as fit, one at least; the others in tables below.
fn tables(raced: &[&Entry], columns: &[Column], width: usize) -> Vec<String> {
    let across = |table: &str| {
        table.lines().map(|line| strip_str(line).to_string().chars().count()).max().unwrap_or(0)
    };
    let mut rest = columns;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let fitting = (1..=rest.len()).rev().map(|count| (count, table(raced, &rest[..count])));
        let (count, table) = fitting
            .into_iter()
            .find(|(count, table)| *count == 1 || across(table) <= width)
            .expect("one column is always taken");
        found.push(table);
        rest = &rest[count..];
    }
    found
}

fn table(raced: &[&Entry], columns: &[Column]) -> String {
    let header = ["allocator".to_owned()].into_iter().chain(columns.iter().map(|(title, _)| title.clone()));
    let mut table = console::table(header);
    for (place, entry) in raced.iter().enumerate() {
        let mut line = vec![Cell::new(paint(STRONG, &entry.name))];
        line.extend(columns.iter().map(|(_, cells)| console::right(&cells[place])));
        table.add_row(line);
    }
    table.trim_fmt()
}

/// Three digits.
fn milliseconds(value: f64) -> String {
    match value {
        10_000.0.. => format!("{:.1} s", value / 1e3),
        100.0.. => format!("{value:.0} ms"),
        10.0.. => format!("{value:.1} ms"),
        _ => format!("{value:.2} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        let shown = [0.5, 12.34, 123.4, 12_345.0].map(milliseconds);
        assert_eq!(shown, ["0.50 ms", "12.3 ms", "123 ms", "12.3 s"]);
    }
}
