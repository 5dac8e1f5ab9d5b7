//! malloc(10) and malloc(10 MiB), live: the break, the mappings, the faults, and what free gives back.

use std::process::ExitCode;

use brkmap_demos::program::run;
use brkmap_demos::report::{Form, Report};
use clap::Parser;

mod block;
mod large;
mod resize;
mod small;

/// What this program is about: all its memory comes from brkmap.
#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

const EXAMPLES: &str = "\
Examples:
  brkmap demo threshold
  brkmap demo threshold --json";

#[derive(Parser)]
#[command(name = "threshold", version, about = "Where brk ends and mmap begins", after_help = EXAMPLES)]
struct Cli {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(|cli: Cli| {
        let mut report = Report::new("threshold", Form::of(cli.json));
        small::one(&mut report)?;
        small::many(&mut report)?;
        large::come_and_go(&mut report)?;
        large::exact(&mut report)?;
        resize::keep_frames(&mut report)?;
        report.finish()
    })
}
