//! The matrix: the same programs, with each allocator in turn.
//!
//! ```text
//!   cli ─▶ contender ─▶ build        which allocators there are; what is missing is built or skipped
//!       ─▶ row ── programs           what is run: own loads and real programs
//!       ─▶ timing ── process         interleaved, rotating start, repeated
//!       or pairs ─┬─ timing          two of them in turn, until their ratio is known
//!                 └─ account ─┬─ callgrind ── profile      whose instructions they are
//!                             └─ calibration               what each count costs here
//!       ─▶ rest                      RSS at rest, memory calls, instructions: once each
//!       ─▶ single                    growth, the idle floor, the Box round
//!       ─▶ wide                      the heap of a wide address range
//!       ─▶ scaling ── affinity       what threads cost each other
//!       ─▶ results ─▶ report
//! ```

use std::time::Instant;

use brkmap_base::error::{Error, Result};

use crate::report;
use crate::results::{Results, SCHEMA};

pub mod account;
pub mod affinity;
pub mod build;
pub mod calibration;
pub mod callgrind;
pub mod cli;
pub mod contender;
pub mod huge_pages;
pub mod machine;
pub mod pairs;
pub mod profile;
pub mod programs;
pub mod rest;
pub mod row;
pub mod scaling;
pub mod single;
pub mod timing;
pub mod wide;

pub use brkmap_race::process;
use cli::Options;
use huge_pages::HugePages;
use single::Single;

/// Shows once more what was measured before.
pub fn render(options: &Options) -> Result<()> {
    let folder = options.output();
    let results = report::read(&folder)?.ok_or_else(|| {
        Error::Usage(format!(
            "{} has no results.json to render: --output names a folder that an earlier run wrote",
            folder.display()
        ))
    })?;
    report::render(&results, &folder)?;
    println!("{}", folder.join("RESULTS.md").display());
    Ok(())
}

/// What a matrix has beside its rows' times.
fn others(sets: &mut [contender::Measured], options: &Options, remarks: &mut Vec<String>) {
    rest::measure(sets, options, remarks);
    single::measure(sets, options, remarks);
    if options.wants_long(Single::Wide.name()) {
        wide::measure(sets, options, remarks);
    }
    if options.wants_long(Single::Scaling.name()) {
        scaling::measure(sets, options, remarks);
    }
}

/// Measures what the options ask for and writes it; false when a row failed.
pub fn run(options: &Options) -> Result<bool> {
    let mut remarks = Vec::new();
    // Read first: after the measuring it would be late to say that it cannot be.
    let earlier = if options.merge { report::read(&options.output())? } else { None };
    let huge_pages = HugePages::set(options.thp)?;
    let described = huge_pages.described();
    if let Some(earlier) = earlier.as_ref().filter(|earlier| earlier.machine.huge_pages != described) {
        return Err(Error::Usage(format!(
            "--merge: the results that are there are of huge pages `{}`, and now they are `{described}`",
            earlier.machine.huge_pages
        )));
    }
    let mut sets = contender::sets(options)?;
    let folder = tempfile::tempdir().map_err(Error::during("cannot make a folder for the programs"))?;
    let began = Instant::now();
    for set in &mut sets {
        row::find(set, options, folder.path())?;
    }
    if !options.pairs.is_empty() && sets.iter().all(|set| set.subjects.len() < 2) {
        return Err(Error::Failed(format!("--pairs {}: no set has both of them", options.pairs.join(","))));
    }
    if sets.iter().all(|set| set.subjects.is_empty()) {
        return Err(Error::Failed("there is no allocator to measure; --list names those it knows".into()));
    }
    let pairs = if options.pairs.is_empty() {
        timing::measure(&mut sets, options, began, &mut remarks);
        others(&mut sets, options, &mut remarks);
        Vec::new()
    } else {
        pairs::measure(&mut sets, options, &mut remarks)
    };
    if huge_pages.described() != described {
        remarks.push(format!(
            "Huge pages changed under the run: in the end they were {}.",
            huge_pages.described()
        ));
    }
    let mut sets: Vec<_> = sets.into_iter().map(contender::Measured::results).collect();
    for row in sets.iter_mut().flat_map(|set| &mut set.rows) {
        row.judge();
        if let Some(failure) = &row.failure {
            eprintln!("matrix: {}: FAILED, {failure}", row.name);
        }
    }
    let fine = sets.iter().flat_map(|set| &set.rows).all(|row| row.failure.is_none());
    let results = Results {
        schema: SCHEMA,
        date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
        command: machine::command(std::env::args()),
        machine: machine::this(described),
        repetitions: options.repetitions(),
        threads: options.threads(),
        scale: options.scale(),
        seconds: began.elapsed().as_secs_f64(),
        pieces: 1,
        remarks,
        sets,
        pairs,
    };
    let results = match earlier {
        Some(earlier) => results.merged_with(earlier),
        None => results,
    };
    report::write(&results, &options.output())?;
    println!("{}", report::terminal::summary(&results));
    println!("{}", options.output().join("RESULTS.md").display());
    Ok(fine)
}
