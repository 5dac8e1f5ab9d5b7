//! The account of a row: what the two of a pair cost the program, counted.

use brkmap_race::look;

use super::calibration::Costs;
use super::callgrind;
use super::contender::Subject;
use super::process::{Invocation, Result};
use super::profile::Own;
use super::row::Measurable;
use crate::results::account::Account;

/// Counted runs are some fifty times slower, and so do a twentieth of the work.
pub fn scale(full: u64) -> u64 {
    full.div_ceil(20)
}

/// Of a row with an allocator. Runs it four times: twice as it is, once watched, once under callgrind.
pub fn of(
    measurable: &Measurable,
    subject: &Subject,
    costs: &Costs,
    scale: u64,
    threads: usize,
) -> Result<Account> {
    let invocation = measurable.invocation(subject, scale, threads);
    let plain = |invocation: &Invocation| {
        let outcome = invocation.run()?;
        let sample = outcome.sample;
        outcome.success().map(|_| sample)
    };
    let plain = [plain(&invocation)?, plain(&invocation)?];
    let (look, failure) = look::at(&invocation).map_err(|error| error.to_string())?;
    if let Some(failure) = failure {
        return Err(format!("watched, it failed: {failure}"));
    }
    let counted = callgrind::profile(&invocation, &own(subject))?;
    let mut functions: Vec<(String, u64)> = counted.functions.into_iter().collect();
    functions.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    functions.truncate(MOST);
    let faults = plain.iter().map(|sample| sample.minor_faults).min().unwrap_or(0);
    // Others' huge pages are in the count of the machine, and never fewer than none.
    let huge = plain.iter().map(|sample| sample.huge_faults).min().unwrap_or(0).min(faults);
    let copied = look.copied_pages.min(faults - huge);
    Ok(Account {
        scale,
        instructions: counted.all,
        own: counted.own,
        functions,
        clearing: costs.clearing.moved(counted.clearing),
        copying: costs.copying.moved(counted.copying),
        small_faults: faults - huge - copied,
        huge_faults: huge,
        copied_faults: copied,
        calls: look.calls,
    })
}

/// Functions beyond have no part worth a line.
const MOST: usize = 16;

fn own(subject: &Subject) -> Own {
    match &subject.preload {
        Some(library) => Own::Library(library.clone()),
        None => Own::of(subject.name()),
    }
}
