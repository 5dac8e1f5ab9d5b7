//! Parent to child by pipe, POSIX message queue and shared memory ring: the bytes copied, the
//! system calls made, the time taken.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use brkmap_base::Bytes;
use brkmap_base::bar::bar;
use brkmap_base::error::{During, Error};
use brkmap_demos::child::Child;
use brkmap_demos::program::run;
use brkmap_demos::proof::syscalls::{self, Calls};
use brkmap_demos::report::{self, Form, Report};
use brkmap_demos::scratch;
use channel::{BLOCK, Channel, Kind};
use clap::Parser;
use comfy_table::{Cell, CellAlignment};
use serde::Serialize;

mod channel;
mod ring;

/// The fastest of these is kept.
const RUNS: u64 = 3;

const EXAMPLES: &str = "\
Examples:
  brkmap demo ipc
  brkmap demo ipc --size 64M --dir /var/tmp";

#[derive(Parser)]
#[command(name = "ipc", version, about = "Pipe, message queue and shared memory, counted", after_help = EXAMPLES)]
struct Cli {
    /// How much is sent: bytes, or a number with K, M or G
    #[arg(long, default_value = "16M", value_parser = Bytes::some)]
    size: Bytes,
    /// Where the input and the output file are made; they have no names there
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Measured {
    channel: &'static str,
    microseconds: u64,
    /// The sender's and the receiver's, or why they could not be counted.
    calls: Result<[Calls; 2], String>,
    #[serde(skip)]
    kind: Kind,
}

fn main() -> ExitCode {
    run(|cli: Cli| {
        let mut report = Report::new("ipc", Form::of(cli.json));
        report.step(format!("a file of {}, and an empty one", cli.size));
        let size = cli.size.0;
        let input = scratch::filled(&cli.dir, size)?;
        let output = scratch::empty(&cli.dir, size)?;

        report.step(format!("the parent reads the one, the child writes the other; {BLOCK} bytes at a time"));
        let bar = bar((RUNS + 1) * Kind::ALL.len() as u64, "sending");
        let mut rows = Vec::new();
        for kind in Kind::ALL {
            match Channel::open(kind) {
                Err(reason) => report.skip(kind.name(), reason),
                Ok(channel) => {
                    let mut fastest = u64::MAX;
                    for _ in 0..RUNS {
                        output.set_len(0).during("empty the output")?;
                        fastest = fastest.min(timed(&channel, &input, &output, size)?);
                        bar.inc(1);
                    }
                    let why = format!("{size} bytes compared");
                    let claim = format!("{}: every byte arrives", kind.name());
                    report.claim(same(&input, &output, size)?, claim, why);
                    output.set_len(0).during("empty the output")?;
                    let calls = counted(&channel, &input, &output, size);
                    bar.inc(1);
                    rows.push(Measured { channel: kind.name(), microseconds: fastest, calls, kind });
                }
            }
        }
        bar.finish_and_clear();
        report.note(table(&rows));
        report.fact("measured", &rows);
        claims(&mut report, &rows, size);
        report.note(
            "Two copies is what is left when read(2) puts the bytes into the shared memory itself and \
             write(2)\ntakes them from there; a program that builds its messages elsewhere makes a third.\nThe futex \
             calls depend on who waits for whom, and counting them (ptrace) makes both wait more.",
        );
        report.finish()
    })
}

/// Microseconds from the first byte read to the child's end.
fn timed(channel: &Channel, input: &File, output: &File, length: u64) -> Result<u64, Error> {
    let start = Instant::now();
    // SAFETY: this program has started no thread.
    let child = unsafe { Child::start(|| channel.receive(output, length)) }?;
    channel.send(input, length)?;
    child.join()?;
    Ok(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
}

fn counted(channel: &Channel, input: &File, output: &File, length: u64) -> Result<[Calls; 2], String> {
    let sender: syscalls::Work<'_> = Box::new(|| channel.send(input, length));
    let receiver: syscalls::Work<'_> = Box::new(|| channel.receive(output, length));
    let both = syscalls::count(vec![sender, receiver])?;
    both.try_into().map_err(|_| "a side was lost".to_owned())
}

fn same(one: &File, two: &File, length: u64) -> Result<bool, Error> {
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut at = 0;
    while at < length {
        let count = (length - at).min(1 << 16) as usize;
        one.read_exact_at(&mut left[..count], at).during("read the input")?;
        if two.read_exact_at(&mut right[..count], at).is_err() || left[..count] != right[..count] {
            return Ok(false);
        }
        at += count as u64;
    }
    Ok(two.metadata().during("ask for the output's length")?.len() == length)
}

fn claims(report: &mut Report, rows: &[Measured], length: u64) {
    for row in rows {
        let copies = row.kind.copies();
        let claim = format!("{}: each byte is copied {copies} times", row.channel);
        report.claim_or_skip(
            claim,
            row.calls.clone().map(|[sender, receiver]| {
                let all = sender.copied + receiver.copied;
                let why = format!(
                    "{} bytes by the sender, {} by the receiver, {length} to send: {:.2} times",
                    sender.copied,
                    receiver.copied,
                    all as f64 / length as f64
                );
                (all == copies * length, why)
            }),
        );
    }
    let calls = |kind: Kind| -> Option<[Calls; 2]> {
        rows.iter().find(|row| row.kind == kind).and_then(|row| row.calls.clone().ok())
    };
    let Some([pipe, ring]) = calls(Kind::Pipe).zip(calls(Kind::Ring)).map(|(pipe, ring)| [pipe, ring]) else {
        return;
    };
    let moves = |[sender, receiver]: &[Calls; 2]| {
        let of = |calls: &Calls| {
            ["read", "write", "pread", "pwrite"].iter().map(|name| calls.of(name)).sum::<u64>()
        };
        of(sender) + of(receiver)
    };
    report.claim(
        moves(&ring) * 2 <= moves(&pipe),
        "the ring halves the calls that move bytes; what it adds is a futex when a side must sleep",
        format!(
            "pipe: {}, ring: {}; the ring's sender: {}; its receiver: {}",
            moves(&pipe),
            moves(&ring),
            ring[0].words(),
            ring[1].words()
        ),
    );
}

fn table(rows: &[Measured]) -> String {
    let mut table =
        report::table(["channel", "time, ms", "bytes copied", "sender's calls", "receiver's calls"]);
    for row in rows {
        let figures = match &row.calls {
            Ok([sender, receiver]) => [sender.copied + receiver.copied, sender.all(), receiver.all()]
                .map(|figure| figure.to_string()),
            Err(_) => ["?"; 3].map(str::to_owned),
        };
        let mut cells = vec![Cell::new(row.channel)];
        let time = format!("{}.{:02}", row.microseconds / 1000, row.microseconds % 1000 / 10);
        let figures = std::iter::once(time).chain(figures);
        cells.extend(figures.map(|text| Cell::new(text).set_alignment(CellAlignment::Right)));
        table.add_row(cells);
    }
    table.to_string()
}
