//! `brkmap maps`: a process's memory as a picture, with words.

mod picture;
mod svg;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use brkmap_base::error::{Error, Result};
use brkmap_base::output;
use clap::Args;
use serde_json::json;

use crate::console::{self, JSON_SCHEMA};
use crate::watched::{self, Moment, Page};
use picture::Picture;

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Write the picture to this file too, as SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// A process on brkmap that was started with BRKMAP_CONF=watch:on
    #[arg(value_name = "PID", required_unless_present = "command", conflicts_with = "command")]
    pub pid: Option<i32>,
    /// A command to run: its memory is drawn as it was when most was live
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

const HELP: &str = "\
The process writes what is drawn to a page that it shares, ten times a second at most, when it asks for \
memory or gives some back. One at rest shows what was true when it last did.

Examples:
  BRKMAP_CONF=watch:on LD_PRELOAD=libbrkmap.so.0 redis-server &
  brkmap maps $!
  LD_PRELOAD=libbrkmap.so.0 brkmap maps --svg memory.svg -- python3 script.py";

pub fn run(args: &Arguments, json: bool) -> Result<i32> {
    let moment = match args.pid {
        Some(pid) => watched::expected(pid)?.read()?.ok_or_else(|| nothing_yet(pid))?,
        None => fullest(&args.command)?,
    };
    let Some(parts) = &moment.parts else {
        return Err(Error::failed("the process has more parts than its page has room for"));
    };
    let picture = Picture::of(&moment, parts);
    if let Some(path) = &args.svg {
        let failed = |error| Error::Failed(format!("cannot write {}: {error}", path.display()));
        std::fs::write(path, svg::of(&picture)).map_err(failed)?;
    }
    if json {
        console::json(&json!({
            "schema": JSON_SCHEMA,
            "tool": "maps",
            "process": moment.process,
            "allocated": moment.statistics.allocated,
            "mapped": moment.statistics.mapped,
            "parts": parts.iter().map(|(at, bytes, used_for)| {
                json!({ "address": format!("{at:#x}"), "bytes": bytes, "used_for": used_for })
            }).collect::<Vec<_>>(),
        }))?;
    } else {
        output::line(picture.text(output::columns()))?;
    }
    Ok(0)
}

fn nothing_yet(pid: i32) -> Error {
    Error::Failed(format!("process {pid} has shown nothing yet"))
}

/// How often a command that runs is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs the command to its end: the moment at which most was live.
fn fullest(command: &[OsString]) -> Result<Moment> {
    let (name, words) = command.split_first().ok_or_else(|| Error::usage("no command given"))?;
    let shown = name.to_string_lossy();
    let mut child = Command::new(name).args(words).env("BRKMAP_WATCH", "on").spawn().map_err(|error| {
        match error.kind() {
            std::io::ErrorKind::NotFound => Error::Missing(format!("`{shown}`: no such command")),
            _ => Error::NotRunnable(format!("`{shown}` cannot be run: {error}")),
        }
    })?;
    let pid = child.id().cast_signed();
    let (mut page, mut most): (Option<Page>, Option<Moment>) = (None, None);
    loop {
        let ended = child.try_wait().map_err(Error::during(format_args!("`{shown}`")))?;
        if ended.is_none() {
            // By exec it becomes another program, with another page.
            page = Page::of(pid).ok().flatten().or(page);
        }
        let now = page.as_ref().map(Page::read).transpose().ok().flatten().flatten();
        if let Some(now) = now
            && most.as_ref().is_none_or(|most| most.statistics.allocated <= now.statistics.allocated)
        {
            most = Some(now);
        }
        if ended.is_some() {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    most.ok_or_else(|| {
        Error::Failed(format!(
            "`{shown}` showed nothing: it has to be on brkmap, and to run for a moment (`brkmap doctor -- {shown}` says \
             whether it is on brkmap)"
        ))
    })
}
