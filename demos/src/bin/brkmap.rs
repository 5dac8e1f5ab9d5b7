//! The `brkmap` command.
//!
//! It has a C `main`: as a probe it must reach the first request before anything has allocated, and
//! Rust's own start-up asks libc for memory on the way to a Rust `main`. The rest of the tool does not
//! miss that start-up: SIGPIPE keeps its default, which is what a command in a pipe should do.

#![no_main]

use std::ffi::{OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

use brkmap_demos::tool::arguments::Arguments;
use brkmap_demos::tool::cli::Cli;
use brkmap_demos::tool::contender::PROBE_ARGUMENT;
use brkmap_demos::tool::{console, probe};
use clap::Parser;

#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, arguments: *const *const c_char) -> c_int {
    // SAFETY: the C runtime passes `count` C strings, and they live as long as the process.
    let arguments = unsafe { Arguments::new(count, arguments) };
    if arguments.get(1).is_some_and(|first| first.to_bytes() == PROBE_ARGUMENT.as_bytes()) {
        return probe::run(&probe::LibcHeap, arguments, 2);
    }
    command(arguments.iter().map(|argument| OsStr::from_bytes(argument.to_bytes()).to_owned()))
}

fn command(arguments: impl Iterator<Item = OsString>) -> c_int {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return error.exit_code();
        }
    };
    cli.run().unwrap_or_else(|error| {
        console::error(&error);
        cli.failure_code(error.exit_code())
    })
}
