//! What is measured once for each cell, apart from the timing, because measuring it would disturb that: RSS at
//! rest, the memory calls, the instructions.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::thread;

use brkmap_base::bar::bar;
use brkmap_tracer::{End, Event, Filter, Program, Tracer};
use indicatif::ProgressBar;

use super::callgrind;
use super::cli::Options;
use super::contender::{Measured, Subject};
use super::process::{HUNG, Invocation, Result};
use super::row::What;
use crate::load::line::Line;
use crate::results::Cell;

/// How many rest at the same time: RSS needs no processor to itself.
const TOGETHER: usize = 8;

pub fn measure(sets: &mut [Measured], options: &Options, remarks: &mut Vec<String>) {
    let cells = |sets: &[Measured]| sets.iter().map(|set| set.rows.len() * set.subjects.len()).sum::<usize>();
    let progress = bar(cells(sets) as u64, "at rest");
    for set in &mut *sets {
        rest(set, options, &progress);
    }
    progress.finish_and_clear();

    let progress = bar(cells(sets) as u64, "memory calls");
    let keep = |cell: &mut Cell, calls| cell.calls = Some(calls);
    once(sets, options, options.scale(), &progress, memory_calls, keep);
    progress.finish_and_clear();

    if options.callgrind {
        let scale = options.scale().div_ceil(20);
        let progress = bar(cells(sets) as u64, "instructions");
        match callgrind::available() {
            Ok(()) => {
                remarks
                    .push(format!("Instructions are those of {scale} % of a full run, by one repetition."));
                once(sets, options, scale, &progress, callgrind::count, |cell, count| {
                    cell.instructions = Some(count)
                });
            }
            Err(reason) => remarks.push(format!("Instructions were not counted: {reason}.")),
        }
        progress.finish_and_clear();
    }
}

/// RSS one second after everything was freed, of our own loads: a real program ends instead.
fn rest(set: &mut Measured, options: &Options, progress: &ProgressBar) {
    let mut waiting = Vec::new();
    for (row, measurable) in set.rows.iter().enumerate() {
        let ends_at_once = !matches!(measurable.what, What::Load(_));
        for (number, subject) in set.subjects.iter().enumerate() {
            if ends_at_once || measurable.has_failed(subject.name()) {
                progress.inc(1);
                continue;
            }
            let mut invocation = measurable.invocation(subject, options.scale(), options.threads());
            invocation.argv.push("settle".into());
            waiting.push((row, number, invocation));
        }
    }
    for group in waiting.chunks(TOGETHER) {
        let outcomes: Vec<Result<u64>> = thread::scope(|scope| {
            let running: Vec<_> =
                group.iter().map(|(_, _, invocation)| scope.spawn(|| idle_kib(invocation))).collect();
            running.into_iter().map(|thread| thread.join().expect("no measuring thread panics")).collect()
        });
        for ((row, number, _), outcome) in group.iter().zip(outcomes) {
            let (measurable, subject) = (&mut set.rows[*row], &set.subjects[*number]);
            match outcome {
                Ok(kib) => {
                    measurable.cell(subject.name()).into_iter().for_each(|cell| cell.idle_kib = Some(kib))
                }
                Err(reason) => tell(&measurable.row.name, subject, &reason),
            }
            progress.inc(1);
        }
    }
}

fn idle_kib(invocation: &Invocation) -> Result<u64> {
    let output = invocation.run()?.success()?;
    Line::parse(&output).and_then(|line| line.get("idle_kib")).ok_or_else(|| "it told no RSS at rest".into())
}

/// One quantity of each cell that has not failed. A cell without it stays empty.
fn once<T>(
    sets: &mut [Measured],
    options: &Options,
    scale: u64,
    progress: &ProgressBar,
    count: impl Fn(&Invocation) -> Result<T>,
    keep: impl Fn(&mut Cell, T),
) {
    for set in sets {
        // Who hung once would hang in every row.
        let mut hung: Vec<&str> = Vec::new();
        for measurable in &mut set.rows {
            for subject in &set.subjects {
                progress.inc(1);
                if hung.contains(&subject.name()) {
                    continue;
                }
                let invocation = measurable.invocation(subject, scale, options.threads());
                let name = measurable.row.name.clone();
                let Some(cell) = measurable.cell(subject.name()) else { continue };
                match count(&invocation) {
                    Ok(value) => keep(cell, value),
                    Err(reason) => {
                        tell(&name, subject, &reason);
                        if reason.starts_with(HUNG) {
                            hung.push(subject.name());
                        }
                    }
                }
            }
        }
    }
}

fn tell(row: &str, subject: &Subject, reason: &str) {
    eprintln!("matrix: {row} with {}: {reason}", subject.name());
}

pub fn memory_calls(invocation: &Invocation) -> Result<BTreeMap<String, u64>> {
    let mut program = Program::new(invocation.argv.clone());
    program.remove("LD_PRELOAD");
    for (name, value) in &invocation.environment {
        program.set(name, value.clone());
    }
    if let Some(library) = &invocation.preload {
        program.set("LD_PRELOAD", OsString::from(library));
    }
    let nowhere = File::options().write(true).open("/dev/null");
    program.stdout = Some(nowhere.map_err(|error| format!("its output cannot be turned away: {error}"))?);
    let tracer = Tracer::start(&program, &Filter::memory_calls()).map_err(|error| error.to_string())?;
    let mut calls = BTreeMap::new();
    let end = tracer.run(|event| {
        if let Event::Call(call) = event {
            *calls.entry(call.syscall.to_string()).or_default() += 1;
        }
    });
    match end {
        Ok(ends) if ends[0] == End::Exited(0) => Ok(calls),
        Ok(ends) => Err(format!("it ended with {} when its memory calls were traced", ends[0].code())),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_programs_memory_calls_are_counted_by_name() {
        match memory_calls(&Invocation::new(Path::new("/bin/true"), &[""; 0])) {
            Ok(calls) => assert!(calls.get("mmap").is_some_and(|&count| count > 0), "{calls:?}"),
            Err(reason) => println!("SKIP a_programs_memory_calls_are_counted_by_name: {reason}"),
        }
    }
}
