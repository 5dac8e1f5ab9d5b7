//! `brkmap profile`: where a program's memory comes from.
//!
//! ```text
//!   command ─► file ─► proto ─► symbols ─► sites ─┬─ tree    for the terminal
//!                                                 └─ flame   SVG
//! ```

mod flame;
mod proto;
mod sites;
mod symbols;
mod tree;

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use brkmap_base::error::{Error, Result};
use brkmap_base::style::{FAINT, STRONG, paint};
use brkmap_base::{Bytes, output};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::console::{self, JSON_SCHEMA};
use crate::locate;
use sites::Sites;

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// A heap profile: the file that BRKMAP_CONF=profile_out or brkmap::profile wrote, or any other of pprof's format
    #[arg(value_name = "FILE", required_unless_present = "command", conflicts_with = "command")]
    pub file: Option<PathBuf>,
    /// A command to run on brkmap, with its arguments
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
    /// What to show in the tree and the flame graph
    #[arg(long, value_name = "WHAT", default_value = "allocated")]
    pub show: Value,
    /// Show what is more and less than in this profile
    #[arg(long, value_name = "FILE")]
    pub base: Option<PathBuf>,
    /// Write a flame graph that can be searched
    #[arg(long, value_name = "FILE.svg")]
    pub flame: Option<PathBuf>,
    /// Keep the profile of a command in this file
    #[arg(long, value_name = "FILE", requires = "command")]
    pub out: Option<PathBuf>,
    /// A sample in so many bytes in the mean
    #[arg(long, value_name = "SIZE", default_value = "512KiB", requires = "command")]
    pub rate: Bytes,
    /// Leave out what is less than this share, in per cent
    #[arg(long, value_name = "PERCENT", default_value = "1")]
    pub least: f64,
}

/// A value of each sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Value {
    /// Bytes of all blocks
    Allocated,
    /// Bytes of the blocks that were not freed when the profile was written
    Live,
    /// The bytes of these that were asked for
    Requested,
}

impl Value {
    fn words(self) -> &'static str {
        match self {
            Value::Allocated => "allocated",
            Value::Live => "live at the end",
            Value::Requested => "asked for of what was live at the end",
        }
    }
}

const HELP: &str = "\
Shown are the callers, from the thread's start on, and below the sites of what was live at the end: what \
leaked, if the program frees all it uses. The figures are estimates from samples; behind each stands how \
far off it may well be.

Examples:
  brkmap profile -- python3 script.py
  brkmap profile --out before.pb.gz -- ./server --test
  brkmap profile --show live heap.4711.pb.gz
  brkmap profile --base before.pb.gz after.pb.gz
  brkmap profile --flame heap.svg heap.4711.pb.gz

The exit code is the command's.";

pub fn run(args: &Arguments, json: bool) -> Result<i32> {
    let (code, sites) = match &args.file {
        Some(file) => (0, read(file)?),
        None => of_command(args)?,
    };
    let base = args.base.as_deref().map(read).transpose()?;
    let shown = match &base {
        Some(base) => sites.minus(base),
        None => sites,
    };
    if let Some(file) = &args.flame {
        let svg = flame::svg(&shown, args.show, base.is_some());
        std::fs::write(file, svg).map_err(Error::during(format!("cannot write {}", file.display())))?;
        console::note(format!("wrote {}", file.display()));
    }
    if json {
        console::json(&as_json(&shown))?;
    } else {
        show(&shown, args, base.is_some())?;
    }
    Ok(code)
}

fn read(file: &Path) -> Result<Sites> {
    let profile = proto::read(file)?;
    let (sites, unknown) = Sites::of(&profile)?;
    for file in unknown {
        console::note(format!(
            "{file} is not the one that was profiled, or cannot be read: its addresses stay"
        ));
    }
    Ok(sites)
}

/// Runs the command on brkmap, and reads the profile that it leaves.
fn of_command(args: &Arguments) -> Result<(i32, Sites)> {
    let library = locate::preload(None)?;
    let folder = tempfile::tempdir().map_err(Error::during("cannot make a folder for the profile"))?;
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]);
    command.env("LD_PRELOAD", before(&library, std::env::var_os("LD_PRELOAD"), ":"));
    let out = folder.path().join("heap.%p.pb.gz");
    let settings = format!("profile:{},profile_at:exit,profile_out:{}", args.rate.0, out.display());
    let others = std::env::var_os("BRKMAP_CONF").filter(|others| !others.is_empty());
    // The last of two entries of one key counts.
    let settings = others
        .map_or(settings.clone().into(), |others| before(Path::new(&others), Some(settings.into()), ","));
    command.env("BRKMAP_CONF", settings);
    let name = args.command[0].to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(Error::during(format!("cannot run {name}")))?;
    let process = child.id();
    let status = child.wait().map_err(Error::during(format!("cannot wait for {name}")))?;
    let file = folder.path().join(format!("heap.{process}.pb.gz"));
    if !file.exists() {
        return Err(Error::failed(format!(
            "{name} left no profile: it ended by a signal or _exit, or brkmap was not its malloc (brkmap doctor -- {name})"
        )));
    }
    if let Some(out) = &args.out {
        std::fs::copy(&file, out).map_err(Error::during(format!("cannot write {}", out.display())))?;
    }
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok((code, read(&file)?))
}

fn before(first: &Path, rest: Option<OsString>, between: &str) -> OsString {
    let mut whole = first.as_os_str().to_owned();
    if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
        whole.push(OsStr::new(between));
        whole.push(rest);
    }
    whole
}

fn show(sites: &Sites, args: &Arguments, difference: bool) -> Result<()> {
    let width = output::width();
    let total = sites.total(args.show);
    let what = if difference { "more or less" } else { args.show.words() };
    output::line(paint(STRONG, format!("{} {what}", signed(total, difference))))?;
    let about = sites.about(args.show);
    if !difference && about > 0.0 {
        let share = 100.0 * about / total.max(1.0);
        output::line(paint(FAINT, format!("± {share:.0} %, from {} samples", sites.samples(args.show))))?;
    }
    output::line("")?;
    for line in tree::lines(sites, args.show, args.least, width) {
        output::line(line)?;
    }
    if args.show == Value::Allocated && !difference {
        leaks(sites, args.least, width)?;
    }
    Ok(())
}

/// What was live at the end, by site.
fn leaks(sites: &Sites, least: f64, width: usize) -> Result<()> {
    let total = sites.total(Value::Live);
    output::line("")?;
    if total == 0.0 {
        return output::line("no sampled block was live at the end");
    }
    output::line(paint(STRONG, format!("{} live at the end, by site", signed(total, false))))?;
    for line in tree::by_site(sites, Value::Live, least, width) {
        output::line(line)?;
    }
    Ok(())
}

/// Bytes in words, with a sign where they are a difference.
fn signed(bytes: f64, difference: bool) -> String {
    let rounded = Bytes(bytes.abs().round() as u64).rounded();
    match (bytes < 0.0, difference && bytes > 0.0) {
        (true, _) => format!("-{rounded}"),
        (_, true) => format!("+{rounded}"),
        _ => rounded,
    }
}

fn as_json(sites: &Sites) -> serde_json::Value {
    let rows = sites.rows().map(|(stack, values)| {
        json!({
            "stack": stack,
            "allocated": values[0].round() as i64,
            "live": values[1].round() as i64,
            "requested": values[2].round() as i64,
        })
    });
    json!({ "schema": JSON_SCHEMA, "sites": rows.collect::<Vec<_>>() })
}
