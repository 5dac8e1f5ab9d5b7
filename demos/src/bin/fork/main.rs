//! A parent and its child: what MAP_SHARED shares, what MAP_PRIVATE copies, and what becomes
//! of the heap.

use std::process::ExitCode;

use brkmap_demos::program::run;
use brkmap_demos::report::{Form, Report};
use clap::Parser;

mod heap;
mod messages;

/// The heap part is about blocks of brkmap.
#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

const EXAMPLES: &str = "\
Examples:
  brkmap demo fork
  brkmap demo fork --json";

#[derive(Parser)]
#[command(name = "fork", version, about = "Parent and child over anonymous mappings", after_help = EXAMPLES)]
struct Cli {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(|cli: Cli| {
        let mut report = Report::new("fork", Form::of(cli.json));
        messages::shared(&mut report)?;
        messages::private(&mut report)?;
        heap::block(&mut report)?;
        heap::among_threads(&mut report)?;
        report.finish()
    })
}
