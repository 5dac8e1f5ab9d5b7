//! `brkmap demo`: the list of the demo programs, and the way to run one.

use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::json;

use super::JSON_SCHEMA;
use super::cli::DemoArgs;
use super::console;
use super::error::{Error, Result};
use super::locate;

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

pub fn run(args: &DemoArgs, json: bool) -> Result<i32> {
    let Some(name) = &args.name else { return list(json) };
    if !DEMOS.iter().any(|(known, _)| known == name) {
        let names: Vec<_> = DEMOS.iter().map(|(name, _)| *name).collect();
        return Err(Error::Usage(format!("there is no demo `{name}`; there are {}", names.join(", "))));
    }
    let program = locate::demo(name)?;
    // In our place, so that signals, the terminal and the exit code are the demo's own.
    let error = Command::new(&program).args(&args.arguments).exec();
    Err(Error::Failed(format!("the demo `{name}` cannot be run: {error}")))
}

fn list(json: bool) -> Result<i32> {
    if json {
        let demos: Vec<_> =
            DEMOS.iter().map(|(name, shows)| json!({ "name": name, "shows": shows })).collect();
        console::json(&json!({ "schema": JSON_SCHEMA, "tool": "demo", "demos": demos }))?;
    } else {
        for (name, shows) in DEMOS {
            anstream::println!("  {}  {shows}", console::paint(console::STRONG, format!("{name:<9}")));
        }
        anstream::println!("\nRun one: brkmap demo NAME [ARGUMENTS]");
    }
    Ok(0)
}
