//! `brkmap top`: a process's memory, and the calls it makes for it, as they come.

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;
use std::time::Duration;

use anstyle_svg::Term;
use brkmap_base::error::{Error, Result};
use brkmap_base::style::{CYAN, FAINT, GREEN, RED, STRONG, YELLOW, paint};
use brkmap_base::{Bytes, output};
use clap::Args;
use serde_json::{Value, json};

use crate::console::{self, JSON_SCHEMA};
use crate::watched::{self, Calls, Moment};

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Seconds between two looks
    #[arg(long, short, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub delay: Duration,
    /// End after so many looks [default: when the process ends; with --json, 1]
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Write the last look to this file too, as SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// A process on brkmap that was started with BRKMAP_CONF=watch:on
    #[arg(value_name = "PID")]
    pub pid: i32,
}

const HELP: &str = "\
The figures come from a page that the process shares. It writes there ten times a second at most, when it \
asks for memory or gives some back: one at rest shows what is still true.

Examples:
  BRKMAP_CONF=watch:on LD_PRELOAD=libbrkmap.so.0 redis-server &
  brkmap top $!";

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.05..=3600.0).contains(number));
    number
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("`{text}` is no time: write seconds, 0.05 to 3600"))
}

pub fn run(args: &Arguments, json: bool) -> Result<i32> {
    let page = watched::expected(args.pid)?;
    let count = args.count.or(json.then_some(1));
    let clears = !json && stdout().is_terminal();
    let (mut before, mut samples): (Option<Moment>, Vec<Value>) = (None, Vec::new());
    let mut picture = String::new();
    for look in 0.. {
        if count.is_some_and(|count| look >= count) {
            break;
        }
        if look > 0 {
            std::thread::sleep(args.delay);
        }
        if !is_there(args.pid) {
            if !json {
                output::line(format_args!("process {} has ended", args.pid))?;
            }
            break;
        }
        let Some(now) = page.read()? else { continue };
        if args.svg.is_some() {
            picture = text(&now, before.as_ref(), SVG_COLUMNS);
        }
        if json {
            samples.push(sample(&now));
        } else {
            let text = text(&now, before.as_ref(), output::columns());
            let clear = if clears { "\x1b[H\x1b[J" } else { "" };
            output::line(format_args!("{clear}{text}{}", if clears { "" } else { "\n" }))?;
        }
        before = Some(now);
    }
    if let Some(path) = &args.svg {
        let failed = |error| Error::Failed(format!("cannot write {}: {error}", path.display()));
        std::fs::write(path, Term::new().render_svg(&picture)).map_err(failed)?;
    }
    if json {
        console::json(
            &json!({ "schema": JSON_SCHEMA, "tool": "top", "process": args.pid, "samples": samples }),
        )?;
    }
    Ok(0)
}

/// How wide a picture is.
const SVG_COLUMNS: usize = 80;

/// Whether a process runs, and is not only waited for.
fn is_there(pid: i32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

fn sample(now: &Moment) -> Value {
    let statistics = &now.statistics;
    let calls: Vec<_> = statistics.calls.iter().map(|row| {
        json!({ "call": row.call, "reason": row.reason, "calls": row.calls, "bytes": row.bytes, "refused": row.refused })
    }).collect();
    json!({
        "milliseconds": now.milliseconds,
        "allocated": statistics.allocated,
        "cached": statistics.cached,
        "dirty": statistics.dirty,
        "resident": statistics.resident,
        "mapped": statistics.mapped,
        "heaps": statistics.heaps,
        "calls": calls,
    })
}

/// A look, with the rates since the one before, in so many columns.
fn text(now: &Moment, before: Option<&Moment>, columns: usize) -> String {
    let statistics = &now.statistics;
    let size = |bytes: u64| Bytes(bytes).rounded();
    let mode = statistics.by_break.as_ref().map_or("nothing yet", |by_break| by_break.mode.as_str());
    let mut lines = vec![paint(STRONG, format!("process {}, grows by {mode}", now.process))];
    let figures = [
        ("live", statistics.allocated),
        ("at hand", statistics.cached),
        ("dirty", statistics.dirty),
        ("resident", statistics.resident),
        ("mapped", statistics.mapped),
    ];
    let mut words: Vec<_> = figures.iter().map(|(name, bytes)| format!("{name} {}", size(*bytes))).collect();
    words.push(format!("heaps {}", statistics.heaps));
    lines.extend(flow(&words, columns));
    lines.push(bar(now, columns));
    lines.push(String::new());
    let wide = |at_least: usize| columns >= at_least;
    let mut head = format!("{:<9}{:<9}{:>9}{:>9}{:>10}", "call", "for", "calls", "/s", "bytes");
    if wide(72) {
        head += &format!("{:>11}", "bytes/s");
    }
    if wide(80) {
        head += &format!("{:>9}", "refused");
    }
    lines.push(paint(STRONG, head));
    for (row, calls, bytes) in rates(now, before) {
        let mut line =
            format!("{:<9}{:<9}{:>9}{:>9}{:>10}", row.call, row.reason, row.calls, calls, size(row.bytes));
        if wide(72) {
            line += &format!("{:>11}", size(bytes));
        }
        if wide(80) {
            line += &format!("{:>9}", row.refused);
        }
        lines.push(if row.refused > 0 { paint(RED, line) } else { line });
    }
    lines.join("\n")
}

/// Words side by side, as many to a line as fit.
fn flow(words: &[String], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + 2 + word.len() <= columns => *line = format!("{line}  {word}"),
            _ => lines.push(word.clone()),
        }
    }
    lines
}

/// The addresses as one bar: live, at hand, dirty, what else is free or a table.
fn bar(now: &Moment, columns: usize) -> String {
    let statistics = &now.statistics;
    let parts =
        [(GREEN, '#', statistics.allocated), (YELLOW, '+', statistics.cached), (RED, 'd', statistics.dirty)];
    let (mut text, mut room) = (String::new(), columns);
    for (style, letter, bytes) in parts {
        let cells = (bytes * columns as u64).div_ceil(statistics.mapped.max(1)) as usize;
        let cells = cells.min(room);
        room -= cells;
        text += &paint(style, letter.to_string().repeat(cells));
    }
    text + &paint(FAINT, ".".repeat(room)) + "\n" + &paint(CYAN, "# live  + at hand  d dirty  . free, tables")
}

/// The rows with calls and bytes a second since the look before, those that are busiest first.
fn rates<'a>(now: &'a Moment, before: Option<&Moment>) -> Vec<(&'a Calls, u64, u64)> {
    let mut rows: Vec<_> = now
        .statistics
        .calls
        .iter()
        .map(|row| {
            let old = before.into_iter().flat_map(|before| &before.statistics.calls);
            let old = old.into_iter().find(|old| (&old.call, &old.reason) == (&row.call, &row.reason));
            let time =
                before.map_or(0, |before| now.milliseconds - before.milliseconds.min(now.milliseconds));
            let rate = |now: u64, old: u64| ((now - old.min(now)) * 1000).checked_div(time).unwrap_or(0);
            let (calls, bytes) = old.map_or((0, 0), |old| (old.calls, old.bytes));
            // Without a look before there is no rate.
            let known = before.is_some();
            (
                row,
                if known { rate(row.calls, calls) } else { 0 },
                if known { rate(row.bytes, bytes) } else { 0 },
            )
        })
        .collect();
    rows.sort_by_key(|(row, calls, _)| std::cmp::Reverse((*calls, row.calls)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use anstream::adapter::strip_str;

    fn moment(milliseconds: u64, calls: u64) -> Moment {
        serde_json::from_value(json!({
            "process": 7, "milliseconds": milliseconds,
            "statistics": {
                "allocated": 5 << 20, "active": 6 << 20, "resident": 6 << 20, "mapped": 10 << 20, "retained": 1 << 20,
                "metadata": 1 << 20, "cached": 1 << 20, "dirty": 1 << 20, "small_bytes": 1 << 20, "medium_bytes": 0, "span_bytes": 1 << 20,
                "large_bytes": 3 << 20, "large_blocks": 1, "cached_blocks": 0, "heaps": 3,
                "break": { "mode": "break", "start": 1, "end": 2 },
                "calls": [
                    { "call": "brk", "reason": "chunk", "calls": 5, "bytes": 5 << 20, "refused": 0 },
                    { "call": "mmap", "reason": "large", "calls": calls, "bytes": calls << 20, "refused": 1 },
                ],
            },
        }))
        .unwrap()
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks_and_the_busiest_comes_first() {
        let (before, now) = (moment(1000, 10), moment(3000, 30));
        let rates = |before: Option<&Moment>| {
            let rows = super::rates(&now, before);
            rows.iter().map(|(row, calls, bytes)| (row.call.clone(), *calls, *bytes)).collect::<Vec<_>>()
        };
        assert_eq!(rates(Some(&before)), [("mmap".to_owned(), 10, 10 << 20), ("brk".to_owned(), 0, 0)]);
        assert_eq!(rates(None), [("mmap".to_owned(), 0, 0), ("brk".to_owned(), 0, 0)]);
        assert_eq!(rates(Some(&now))[0].1, 0, "nothing was written since");
    }

    #[test]
    fn a_look_fits_each_width() {
        for columns in [40, 60, 80, 200] {
            let text = strip_str(&text(&moment(3000, 30), Some(&moment(1000, 10)), columns)).to_string();
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= columns.max(46), "{longest} of {columns}:\n{text}");
            assert!(
                text.contains("live 5 MiB")
                    && text.contains("mmap     large")
                    && text.contains("brk      chunk")
                    && text.contains("heaps 3"),
                "{text}"
            );
            assert_eq!(text.contains("refused"), columns >= 80);
            let bar = text.lines().find(|line| line.starts_with('#')).unwrap();
            assert_eq!(bar.chars().count(), columns);
            let count = |letter| bar.chars().filter(|other| *other == letter).count();
            assert_eq!((count('#'), count('+'), count('d')), (columns / 2, columns / 10, columns / 10));
        }
    }

    #[test]
    fn a_delay_is_seconds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["", "0", "soon", "-1", "inf", "1e9"] {
            assert!(seconds(wrong).unwrap_err().contains("write seconds"), "{wrong}");
        }
    }
}
