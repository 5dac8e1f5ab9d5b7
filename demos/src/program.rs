//! The frame of every demo: arguments in, an exit code out.

use std::process::ExitCode;

use brkmap_base::error::{Error, Result};
use brkmap_base::output;
use clap::Parser;

/// Reads the command line and does what it says. Errors go to stderr, and become the exit code.
///
/// Rust starts with SIGPIPE ignored, so that a closed pipe is an error like any other.
pub fn run<C: Parser>(body: impl FnOnce(C) -> Result<ExitCode>) -> ExitCode {
    let done = match C::try_parse() {
        Ok(cli) => body(cli),
        Err(answer) => told(&answer),
    };
    done.unwrap_or_else(|error| {
        if !matches!(error, Error::Interrupted) {
            output::complain(format_args!("error: {error}"));
        }
        ExitCode::from(error.exit_code())
    })
}

/// What clap has to say instead: help on stdout, or a complaint on stderr.
fn told(answer: &clap::Error) -> Result<ExitCode> {
    let printed = answer.print();
    if !answer.use_stderr() {
        output::written(printed)?;
    }
    Ok(ExitCode::from(answer.exit_code() as u8))
}
