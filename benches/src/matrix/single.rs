//! Measurements of an allocator by itself, without rows.

use brkmap_base::bar::bar;

use super::callgrind;
use super::cli::Options;
use super::contender::{Measured, Subject};
use super::process::Result;
use crate::load::line::Line;
use crate::results::Growth;
use crate::statistics::median;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Single {
    Growth,
    Hello,
    Round,
    Wide,
    Scaling,
}

impl Single {
    pub const ALL: [Single; 5] =
        [Single::Growth, Single::Hello, Single::Round, Single::Wide, Single::Scaling];

    pub fn name(self) -> &'static str {
        match self {
            Single::Growth => "growth",
            Single::Hello => "hello",
            Single::Round => "box-round",
            Single::Wide => "wide",
            Single::Scaling => "scaling",
        }
    }

    pub fn about(self) -> &'static str {
        match self {
            Single::Growth => "cost of one replacement among 1 thousand to 10 million live blocks",
            Single::Hello => "RSS of a program that only says hello",
            Single::Round => "instructions of one Box of 32 bytes, new and drop (needs valgrind)",
            Single::Wide => {
                "cost of one replacement in a heap of 64 GiB of addresses (takes 8 GiB of memory at most)"
            }
            Single::Scaling => "what threads cost each other: alone, in processes apart, in one process",
        }
    }
}

pub fn measure(sets: &mut [Measured], options: &Options, remarks: &mut Vec<String>) {
    let subjects: usize = sets.iter().map(|set| set.subjects.len()).sum();
    if options.wants(Single::Hello.name()) {
        for subject in sets.iter_mut().flat_map(|set| &mut set.subjects) {
            let rss = hello(subject, options.repetitions());
            subject.allocator.hello_kib = told(Single::Hello, subject, rss);
        }
    }
    if options.wants(Single::Growth.name()) {
        let sizes = sizes(options.quick);
        let progress = bar((subjects * sizes.len()) as u64, "growth");
        for &live in sizes {
            for subject in sets.iter_mut().flat_map(|set| &mut set.subjects) {
                let growth = growth(subject, live);
                subject.allocator.growth.extend(told(Single::Growth, subject, growth));
                progress.inc(1);
            }
        }
        progress.finish_and_clear();
    }
    if options.wants(Single::Round.name()) {
        if let Err(reason) = callgrind::available() {
            remarks.push(format!("The Box round was not counted: {reason}."));
            return;
        }
        let progress = bar(subjects as u64, "Box round");
        for subject in sets.iter_mut().flat_map(|set| &mut set.subjects) {
            let round = callgrind::round(|arguments| subject.load(arguments));
            subject.allocator.box_round = told(Single::Round, subject, round);
            progress.inc(1);
        }
        progress.finish_and_clear();
    }
}

/// --quick leaves out the large one, which alone takes seconds each time.
fn sizes(quick: bool) -> &'static [u64] {
    const ALL: [u64; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    if quick { &ALL[..4] } else { &ALL }
}

fn told<T>(what: Single, subject: &Subject, result: Result<T>) -> Option<T> {
    result.map_err(|reason| eprintln!("matrix: {} with {}: {reason}", what.name(), subject.name())).ok()
}

/// The median: where code and stack come to lie moves it by pages.
fn hello(subject: &Subject, repetitions: usize) -> Result<u64> {
    let once = || {
        let output = subject.load(&["hello"]).run()?.success()?;
        field(&output, "rss_kib").map(|kib| kib as f64)
    };
    let all = (0..repetitions.max(3)).map(|_| once()).collect::<Result<Vec<_>>>()?;
    median(&all).map(|kib| kib as u64).ok_or_else(|| "no run".into())
}

fn growth(subject: &Subject, live: u64) -> Result<Growth> {
    let output = subject.load(&["growth", &live.to_string()]).run()?.success()?;
    let nanoseconds = |name| field(&output, name).map(|picoseconds| picoseconds as f64 / 1e3);
    Ok(Growth {
        live,
        fill: nanoseconds("fill_ps")?,
        touch: nanoseconds("touch_ps")?,
        replace: nanoseconds("replace_ps")?,
        free: nanoseconds("free_ps")?,
        peak_kib: field(&output, "peak_kib")?,
    })
}

pub fn field(output: &str, name: &str) -> Result<u64> {
    Line::parse(output).and_then(|line| line.get(name)).ok_or_else(|| format!("it told no {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_grows_less_far() {
        assert_eq!(sizes(false).last(), Some(&10_000_000));
        assert_eq!(sizes(true).last(), Some(&1_000_000));
    }

    #[test]
    fn a_missing_field_is_named() {
        assert_eq!(field("rss_kib=3\n", "rss_kib"), Ok(3));
        assert!(field("rss_kib=3\n", "touch_ps").unwrap_err().contains("touch_ps"));
    }
}
