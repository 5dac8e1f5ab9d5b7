//! `brkmap race`: a command of the user's under every allocator that is here, one after another in turn.
//!
//! ```text
//!   lanes                who takes part, and who cannot
//!   report ─┬─ tables    what came of it, for reading
//!           └─ …         for programs (JSON), and as a picture
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use brkmap_base::bar::bar;
use brkmap_base::error::{Error, Result};
use brkmap_base::output;
use brkmap_race::amounts::{Percent, Time};
use brkmap_race::course::{self, Course, Failure, Plan};
use brkmap_race::interval::LEAST;
use brkmap_race::sample::Sample;
use clap::Args;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::console;
use crate::contender::With;

mod lanes;
mod report;
mod tables;

use lanes::Lane;
use report::Report;

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Race another allocator too: a shared library that replaces malloc (repeatable)
    #[arg(long, value_name = "NAME=PATH.so")]
    pub with: Vec<With>,
    /// Race these alone
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Whom the ratios are to [default: libc's own]
    #[arg(long, value_name = "NAME")]
    pub against: Option<String>,
    /// How long at most, as 90, 90s, 5m or 1h
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub time: Time,
    /// Stop earlier when every interval is as narrow: so much of its ratio, from low to high
    #[arg(long, value_name = "PERCENT", default_value = "2%")]
    pub width: Percent,
    /// How many rounds at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub rounds: u32,
    /// What the command reads, from the beginning each time [default: our own stdin if it is a file, else nothing]
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// The dice of the order and of the intervals
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// The libbrkmap.so to preload [default: the one beside this program, else built by cargo]
    #[arg(long, value_name = "PATH")]
    pub preload: Option<PathBuf>,
    /// Write everything as JSON to FILE too; without a FILE to stdout, in place of text
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub json: Option<PathBuf>,
    /// Draw the ratios and their intervals
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

const HELP: &str = "\
The allocators are brkmap, libc's own, and of mimalloc, jemalloc, tcmalloc and tbbmalloc those that \
are installed. Each runs the command once a round, in an order drawn by lot and then the same \
backwards. First each is watched once, untimed, until all that it started has ended: which memory \
calls it makes, and what it has left in memory at its end.

A ratio is the median of the ratios of each round, in brackets the interval that holds it with 95 % \
certainty (by bootstrap). CPU is user and system time of the command and of all it waited for. The \
command's output is not shown. It exits with 1 if the command failed under some allocator.

Examples:
  brkmap race -- python3 -c 'print(len([str(i) for i in range(10**6)]))'
  brkmap race --time 5m --width 1% -- ./parse big.json
  brkmap race --with mine=./libmine.so --against mine --svg r.svg -- make
  brkmap race --only brkmap,glibc --json r.json -- sort <big.txt";

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn interrupted(_: libc::c_int) {
    // Relaxed: a flag alone; what it is about is asked for afterwards.
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// A key ends the command, which is in our group; we stay to tell what was measured.
fn stay_when_interrupted() {
    let note = SigAction::new(SigHandler::Handler(interrupted), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler stores to one atomic, which is async-signal-safe.
    let _ = unsafe { sigaction(Signal::SIGINT, &note) };
}

/// 0, or 1 if the command failed under some allocator.
pub fn run(args: &Arguments) -> Result<i32> {
    // What can be wrong is said before the first run.
    let mut files = Files::open(args)?;
    let mut lanes = lanes::chosen(args)?;
    let against = args.against.as_deref().unwrap_or(lanes::LIBC);
    stay_when_interrupted();
    let began = Instant::now();
    let mut notes = lanes::look(&mut lanes, interrupted_yet)?;
    let reference = lanes
        .iter()
        .position(|lane| lane.name == against && lane.failure.is_none())
        .or_else(|| lanes.iter().position(|lane| lane.failure.is_none()))
        .ok_or_else(|| Error::Failed(lanes::all_failed(&args.command[0], &lanes)))?;
    if lanes[reference].name != against {
        notes.push(format!("{against} is out, so ratios are to {}.", lanes[reference].name));
    }
    let course = timed(args, &mut lanes, reference);
    let report = Report::of(args, &lanes, &course, reference, began.elapsed(), notes);
    files.write(&report)?;
    if args.json.as_deref() != Some(Path::new("-")) {
        output::line(tables::text(&report, output::width()))?;
    }
    if course.ended == course::Ended::Interrupted {
        return Err(Error::Interrupted);
    }
    Ok(i32::from(report.allocators.iter().any(|one| one.failure.is_some())))
}

fn interrupted_yet() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

fn timed(args: &Arguments, lanes: &mut [Lane], reference: usize) -> Course {
    let plan = Plan {
        // An interval of the fewest rounds is narrow by luck too often.
        least: LEAST + 4,
        most: args.rounds.max(1) as usize,
        time: args.time.0,
        width: args.width.0,
        seed: args.seed,
    };
    let racing: Vec<usize> = (0..lanes.len()).filter(|&at| lanes[at].failure.is_none()).collect();
    let place = racing.iter().position(|&at| at == reference).expect("the reference races");
    let progress = bar(100, "race");
    progress.enable_steady_tick(Duration::from_millis(500));
    let once = |racer: usize| -> Result<Sample, Failure> {
        let outcome = lanes[racing[racer]].run();
        if interrupted_yet() { Err(Failure::Interrupted) } else { outcome.map_err(Failure::Out) }
    };
    let tell = |rounds: usize, part: f64| {
        progress.set_position((part * 100.0).min(100.0) as u64);
        progress.set_message(format!("race, round {}", rounds + 1));
    };
    let mut course = course::run(&plan, racing.len(), place, once, tell);
    progress.finish_and_clear();
    // Those that never started get their place again.
    let mut racers = std::mem::take(&mut course.lanes).into_iter();
    course.lanes = lanes
        .iter()
        .map(|lane| match &lane.failure {
            Some(_) => course::Lane { failure: lane.failure.clone(), ..course::Lane::default() },
            None => racers.next().expect("a lane for each racer"),
        })
        .collect();
    course
}

/// What is written besides the text. A file that cannot be is no reason to have raced in vain, so it is made first.
struct Files {
    json: Option<(PathBuf, std::fs::File)>,
    svg: Option<(PathBuf, std::fs::File)>,
    json_to_stdout: bool,
}

impl Files {
    fn open(args: &Arguments) -> Result<Files> {
        let create = |path: &PathBuf| {
            let file = std::fs::File::create(path);
            file.map(|file| (path.clone(), file))
                .map_err(|error| Error::Usage(format!("cannot write {}: {error}", path.display())))
        };
        let stdout = Path::new("-");
        let json = args.json.as_ref().filter(|path| *path != stdout).map(create).transpose()?;
        let svg = args.svg.as_ref().map(create).transpose()?;
        Ok(Files { json, svg, json_to_stdout: args.json.as_deref() == Some(stdout) })
    }

    fn write(&mut self, report: &Report) -> Result<()> {
        use std::io::Write;
        if let Some((path, file)) = &mut self.json {
            let text =
                serde_json::to_string_pretty(report).map_err(Error::during("the report is no JSON"))?;
            writeln!(file, "{text}").map_err(Error::during(format!("cannot write {}", path.display())))?;
        }
        if self.json_to_stdout {
            console::json(report)?;
        }
        if let Some((path, file)) = &mut self.svg {
            let svg = report.picture()?;
            file.write_all(svg.as_bytes())
                .map_err(Error::during(format!("cannot write {}", path.display())))?;
        }
        Ok(())
    }
}
