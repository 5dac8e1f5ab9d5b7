//! `brkmap doctor`: is brkmap a program's malloc, and if not, why.
//!
//! ```text
//!   patient ─┬─ obstacles   what lies in the program itself
//!            ├─ request     LD_PRELOAD, /etc/ld.so.preload, and what the loader makes of them
//!            └─ memory      of a running process: where its malloc leads
//!   settings                which configuration is in force
//!   machine                 what else of this machine matters
//! ```

mod finding;
mod machine;
mod memory;
mod obstacles;
mod patient;
mod request;
mod settings;

use std::ffi::OsString;

use brkmap_base::error::{Error, Result};
use brkmap_base::output;
use brkmap_base::style::{FAILURE, GREEN, STRONG, YELLOW, paint};
use brkmap_base::wrap::wrap;
use clap::Args;
use serde_json::{Value, json};

use crate::console::{self, JSON_SCHEMA};
use crate::elf;
use finding::Finding;
use machine::Fact;
use patient::Patient;

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// A process that runs
    #[arg(value_name = "PID", required_unless_present = "command", conflicts_with = "command")]
    pub pid: Option<i32>,
    /// A command, looked at with this environment and not run
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

const HELP: &str = "\
The exit code is 0 where brkmap is in effect, and 1 where it is not. Of a process it is read where its \
malloc leads, which takes the right to trace it (its user, or root). Of a command the loader is asked \
what it would load.

Examples:
  LD_PRELOAD=libbrkmap.so.0 brkmap doctor -- python3
  brkmap doctor $(pidof redis-server)
  brkmap doctor --json 4711";

/// Whether brkmap serves the program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Effect {
    /// From this file, or from inside of the program.
    Yes(String),
    No,
}

/// What was found out.
struct Report {
    patient: Patient,
    effect: Effect,
    findings: Vec<Finding>,
    settings: Vec<Fact>,
    machine: Vec<Fact>,
}

pub fn run(args: &Arguments, json: bool) -> Result<i32> {
    let patient = match args.pid {
        Some(pid) => Patient::process(pid)?,
        None => Patient::command(&args.command)?,
    };
    let report = examine(patient)?;
    if json {
        console::json(&as_json(&report))?;
    } else {
        print(&report)?;
    }
    Ok(i32::from(report.effect == Effect::No))
}

fn examine(patient: Patient) -> Result<Report> {
    let program = elf::read(&patient.file())
        .map_err(|error| Error::Failed(format!("{} cannot be read: {error}", patient.program.display())))?;
    let (effect, mut findings) = match patient.pid {
        Some(pid) => memory::effect(&patient, &program, pid)?,
        None => request::effect(&patient, &program),
    };
    findings.extend(patient.notes.iter().cloned());
    let (settings, wrong) = settings::of(&patient, effect != Effect::No);
    findings.extend(wrong);
    let machine = machine::facts(patient.pid);
    Ok(Report { patient, effect, findings, settings, machine })
}

fn print(report: &Report) -> Result<()> {
    let width = output::width();
    let name = report.patient.shown();
    match &report.effect {
        Effect::Yes(by) => {
            let verdict = paint(GREEN, "in effect");
            output::line(wrap(&format!("brkmap is {verdict} in {name}, from {by}."), width, ""))?;
        }
        Effect::No => {
            let verdict = paint(FAILURE, "not in effect");
            output::line(wrap(&format!("brkmap is {verdict} in {name}."), width, ""))?;
        }
    }
    for finding in &report.findings {
        let mark = if finding.stops { paint(FAILURE, "✗") } else { paint(YELLOW, "•") };
        let text = format!("{} {}", finding.text, finding.help);
        output::line(format_args!("{mark} {}", wrap(text.trim_end(), width - 2, "  ")))?;
    }
    for (title, facts) in [("Settings", &report.settings), ("Machine", &report.machine)] {
        output::line(format_args!("\n{}", paint(STRONG, title)))?;
        for fact in facts {
            let mark = if fact.matters { paint(YELLOW, "•") } else { " ".to_owned() };
            let end = if fact.words.is_empty() { String::new() } else { format!(". {}", fact.words) };
            let text = format!("{}: {}{end}", fact.name, fact.value);
            output::line(format_args!("{mark} {}", wrap(&text, width - 2, "    ")))?;
        }
    }
    Ok(())
}

fn as_json(report: &Report) -> Value {
    let by = match &report.effect {
        Effect::Yes(by) => Some(by),
        Effect::No => None,
    };
    json!({
        "schema": JSON_SCHEMA,
        "tool": "doctor",
        "program": report.patient.program,
        "pid": report.patient.pid,
        "in_effect": by.is_some(),
        "from": by,
        "findings": report.findings,
        "settings": report.settings,
        "machine": report.machine,
    })
}
