//! When a page gets its frame: what mmap does not do, and what the first touch does.

use std::path::PathBuf;
use std::process::ExitCode;

use brkmap_base::error::{During, Error};
use brkmap_demos::input::{Access, open_file};
use brkmap_demos::program::run;
use brkmap_demos::report::{Form, Report};
use brkmap_witness::page_size;
use clap::Parser;

mod anonymous;
mod beyond;
mod cache;

const EXAMPLES: &str = "\
Examples:
  brkmap demo faults
  brkmap demo faults --pages 512 /usr/bin/python3";

#[derive(Parser)]
#[command(name = "faults", version, about = "Page faults, frame by frame", after_help = EXAMPLES)]
struct Cli {
    /// A file to map, read only; without it, one of our own
    file: Option<PathBuf>,
    /// How many pages the anonymous areas have
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=65536))]
    pages: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(|cli: Cli| {
        let (file, length) = match &cli.file {
            Some(path) => open_file(path, Access::Read)?,
            None => our_own()?,
        };
        let length = usize::try_from(length).during("fit the file into memory")?;
        let mut report = Report::new("faults", Form::of(cli.json));
        anonymous::lazy(&mut report, cli.pages as usize)?;
        anonymous::populated(&mut report, cli.pages as usize)?;
        cache::cold_and_warm(&mut report, &file, length)?;
        cache::one_frame(&mut report, &file, length)?;
        beyond::tail(&mut report, &file, length)?;
        beyond::sigbus(&mut report, &file, length)?;
        report.finish()
    })
}

/// 256 pages and a bit, without a name, gone when we end.
fn our_own() -> Result<(std::fs::File, u64), Error> {
    let mut file = tempfile::tempfile().during("make a file")?;
    let length = 256 * page_size() + 100;
    std::io::Write::write_all(&mut file, &vec![b'#'; length]).during("fill the file")?;
    file.sync_all().during("write the file back")?;
    Ok((file, length as u64))
}
