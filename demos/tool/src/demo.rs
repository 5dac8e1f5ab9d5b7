//! `brkmap demo`: the list of the demo programs, and the way to run one.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use brkmap_base::error::{Error, Result};
use brkmap_base::output;
use brkmap_base::style::{STRONG, paint};
use brkmap_base::wrap::wrap;
use clap::Args;
use serde_json::json;

use crate::console::{self, JSON_SCHEMA};
use crate::locate;

/// Name and what it shows; each is a program of its own in demos/src/bin.
const DEMOS: [(&str, &str); 9] = [
    ("share", "one mapping, two processes: what one writes the other reads"),
    ("fork", "private pages after fork: copied at the first write, and not before"),
    ("threshold", "where malloc turns from brk to mmap, and how the threshold is set"),
    ("faults", "a page costs when it is touched, not when it is mapped"),
    ("fileio", "reading and writing a file through memory, against read and write"),
    ("ipc", "a ring buffer in shared memory between two processes"),
    ("store", "a small persistent store in a mapped file"),
    ("screen", "drawing into a mapped framebuffer"),
    ("device", "memory a kernel driver hands out through mmap"),
];

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// The demo to run, and what it is given; without it they are listed
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_names = ["NAME", "ARGUMENTS"])]
    pub words: Vec<OsString>,
}

const HELP: &str = "\
What follows the name is the demo's own, options too.

Examples:
  brkmap demo
  brkmap demo share
  brkmap demo threshold --json
  brkmap demo store --help";

pub fn run(args: &Arguments, json: bool) -> Result<i32> {
    let Some((name, arguments)) = args.words.split_first() else { return list(json) };
    let Some((name, _)) = DEMOS.iter().find(|(known, _)| name == known) else {
        let (name, names) = (name.display(), DEMOS.map(|(name, _)| name).join(", "));
        return Err(Error::Usage(format!("there is no demo `{name}`; there are {names}")));
    };
    let program = locate::demo(name)?;
    // In our place, so that signals, the terminal and the exit code are the demo's own.
    let error = Command::new(&program).args(arguments).exec();
    Err(Error::Failed(format!("the demo `{name}` cannot be run: {error}")))
}

fn list(json: bool) -> Result<i32> {
    if json {
        let demos: Vec<_> =
            DEMOS.iter().map(|(name, shows)| json!({ "name": name, "shows": shows })).collect();
        console::json(&json!({ "schema": JSON_SCHEMA, "tool": "demo", "demos": demos }))?;
    } else {
        for (name, shows) in DEMOS {
            let shows = wrap(shows, output::width() - 13, "             ");
            output::line(format_args!("  {}  {shows}", paint(STRONG, format!("{name:<9}"))))?;
        }
        output::line("\nRun one: brkmap demo NAME [ARGUMENTS]")?;
    }
    Ok(0)
}
