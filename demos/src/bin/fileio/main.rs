//! Reading and writing a file by lseek, read and write, and by mmap: what each costs, and when mmap
//! is not the faster one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use brkmap_base::Bytes;
use brkmap_base::bar::bar;
use brkmap_base::error::{During, Error};
use brkmap_demos::program::run;
use brkmap_demos::report::{Form, Report};
use brkmap_demos::scratch;
use clap::Parser;
use measure::{Measured, STEPS, measure};
use work::{Ground, Way, Work};

mod measure;
mod show;
mod work;

const EXAMPLES: &str = "\
Examples:
  brkmap demo fileio
  brkmap demo fileio --size 256M --dir /var/tmp --svg figures.svg";

#[derive(Parser)]
#[command(name = "fileio", version, about = "A file by read and write, and by mmap", after_help = EXAMPLES)]
struct Cli {
    /// How long the file is: bytes, or a number with K, M or G
    #[arg(long, default_value = "64M", value_parser = Bytes::some)]
    size: Bytes,
    /// How many random reads and updates
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    operations: u32,
    /// Where the file is made; it has no name there and is gone when we end
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// Write the figures as an SVG
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(|cli: Cli| {
        let mut report = Report::new("fileio", Form::of(cli.json));
        check_svg(cli.svg.as_deref())?;
        report.step(format!("make a file of {} in {}", cli.size, cli.dir.display()));
        if cli.size.0 < work::RECORD as u64 {
            let least = work::RECORD;
            return Err(Error::usage(format!(
                "--size is {}; the file must have {least} bytes at least",
                cli.size
            )));
        }
        let file = scratch::filled(&cli.dir, cli.size.0)?;
        let length = usize::try_from(cli.size.0).during("fit the file into memory")?;
        let ground = Ground::new(file, length, cli.operations as usize);

        report.step(format!(
            "each work both ways; {} random operations of {} bytes",
            cli.operations,
            work::RECORD
        ));
        let mut rows = Vec::new();
        let bar = bar(STEPS * (Work::ALL.len() * Way::BOTH.len()) as u64, "measuring");
        for work in Work::ALL {
            for way in Way::BOTH {
                match measure(work, way, &ground, &bar)? {
                    Some(row) => rows.push(row),
                    None => report.skip(
                        format!("{}, {}", work.name(), way.name()),
                        "the file cannot be dropped from the page cache here (tmpfs?)",
                    ),
                }
            }
        }
        bar.finish_and_clear();
        report.note(show::table(&rows));
        report.fact("measured", &rows);
        claims(&mut report, &ground, &rows);

        report.step("who wins here, on this machine, today");
        let verdicts = show::verdicts(&rows);
        report.note(verdicts.join("\n"));
        report.fact("verdicts", verdicts);
        if let Some(path) = &cli.svg {
            show::chart(&rows, &format!("a file of {}: calls and mmap", cli.size), path)?;
            report.note(format!("drawn: {}", path.display()));
        }
        report.finish()
    })
}

fn claims(report: &mut Report, ground: &Ground, rows: &[Measured]) {
    for (work, calls, mmap) in show::pairs(rows) {
        let name = work.name();
        if work.writes() {
            let why = "each way writes bytes of its own, read back after its sync";
            report.claim(calls.kept && mmap.kept, format!("{name}: read(2) finds every update of both"), why);
        } else {
            let why = format!("sums {:#x} and {:#x}", calls.sum, mmap.sum);
            report.claim(calls.sum == mmap.sum, format!("{name}: both read the same bytes"), why);
        }
        let claim = format!("{name}: mmap makes no call to move data");
        report.claim_or_skip(
            claim,
            mmap.calls.clone().map(|counted| {
                let moving: u64 =
                    ["read", "write", "lseek", "pread", "pwrite"].iter().map(|call| counted.of(call)).sum();
                (moving == 0 && counted.copied == 0, counted.words())
            }),
        );
        let least = ground.least_moves(work);
        let claim = format!("{name}: the other way makes {least} calls at least to move data");
        report.claim_or_skip(
            claim,
            calls
                .calls
                .clone()
                .map(|counted| (counted.of("read") + counted.of("write") >= least, counted.words())),
        );
    }
}

fn check_svg(path: Option<&Path>) -> Result<(), Error> {
    let Some(path) = path else { return Ok(()) };
    File::create(path).map(|_| ()).map_err(|error| {
        Error::usage(format!("--svg {}: {error}; name a file that can be written", path.display()))
    })
}
