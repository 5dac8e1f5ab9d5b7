//! The `brkmap` command.
//!
//! It has a C `main`: as a probe it must reach the first request before anything has allocated, and
//! Rust's own start-up asks libc for memory on the way to a Rust `main`.

#![no_main]

use std::ffi::{OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

use brkmap_probe::{Arguments, scenario};
use brkmap_tool::cli::Cli;
use brkmap_tool::{PROBE_ARGUMENT, console};

#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, arguments: *const *const c_char) -> c_int {
    // SAFETY: the C runtime passes `count` C strings, and they live as long as the process.
    let arguments = unsafe { Arguments::new(count, arguments) };
    if arguments.get(1).is_some_and(|first| first.to_bytes() == PROBE_ARGUMENT.as_bytes()) {
        return scenario::of_libc(arguments, 2);
    }
    command(arguments.iter().map(|argument| OsStr::from_bytes(argument.to_bytes()).to_owned()))
}

fn command(arguments: impl Iterator<Item = OsString>) -> c_int {
    // A closed pipe is then an error of the write, told like any other.
    // SAFETY: SIG_IGN runs no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let cli = match Cli::of(arguments.collect()) {
        Ok(cli) => cli,
        Err(answer) => return console::answer(&answer),
    };
    cli.run().unwrap_or_else(|error| {
        console::error(&error);
        cli.failure_code(error.exit_code().into())
    })
}
