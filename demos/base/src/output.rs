//! Text for stdout and stderr.
//!
//! anstream decides whether colours show (terminal, NO_COLOR, CLICOLOR_FORCE, TERM=dumb) and strips what must not, so
//! programs write styled text and never ask. What cannot be written, on a full disk or into a closed pipe, is an
//! error like any other; for that, SIGPIPE has to be ignored.

use std::fmt;
use std::io::{self, Write};

use crate::error::{Error, Result};

/// A line, or several, on stdout.
pub fn line(text: impl fmt::Display) -> Result<()> {
    written(writeln!(anstream::stdout().lock(), "{text}"))
}

/// Text as it is, on stdout at once.
pub fn raw(text: impl fmt::Display) -> Result<()> {
    let mut out = io::stdout().lock();
    written(write!(out, "{text}").and_then(|()| out.flush()))
}

/// How many columns text for reading has: the terminal's, or COLUMNS, or 100, and never more than 100.
pub fn width() -> usize {
    columns().min(100)
}

/// How many columns pictures have: the terminal's, or COLUMNS, or 100.
pub fn columns() -> usize {
    let terminal = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    let variable = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(variable).map_or(100, |width: usize| width.clamp(20, 400))
}

/// What a write to stdout came to, as an error in words.
pub fn written(done: io::Result<()>) -> Result<()> {
    done.map_err(Error::during("cannot write to stdout"))
}

/// A line on stderr. Where that cannot be written, there is nobody to tell.
pub fn complain(text: impl fmt::Display) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}
