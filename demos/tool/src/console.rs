//! What the terminal shows: colours where there is a terminal, plain text everywhere else.

use std::fmt;
use std::io::{self, Write};

use anstyle::Style;
use brkmap_base::error::{Error, Result};
use brkmap_base::output;
use brkmap_base::style::{CYAN, FAILURE, FAINT, GREEN, STRONG, YELLOW, paint};
use brkmap_tracer::Syscall;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

/// The number every `--json` document carries; it changes when a field changes its meaning or goes.
pub const JSON_SCHEMA: u32 = 2;

pub const BREAK: Style = GREEN;
pub const MAPPING: Style = CYAN;
pub const GIVEN_BACK: Style = YELLOW;

pub fn style(syscall: Syscall) -> Style {
    match syscall {
        Syscall::Brk => BREAK,
        Syscall::Mmap | Syscall::Mremap => MAPPING,
        Syscall::Munmap => GIVEN_BACK,
        _ => Style::new(),
    }
}

/// A failure, on stderr.
pub fn error(text: impl fmt::Display) {
    output::complain(format_args!("{}: {text}", paint(FAILURE, "brkmap")));
}

/// Something the user should know while they wait, on stderr.
pub fn note(text: impl fmt::Display) {
    output::complain(format_args!("{}: {text}", paint(FAINT, "brkmap")));
}

/// What clap has to say instead of a command: help on stdout, or a complaint on stderr. The exit code.
pub fn answer(answer: &clap::Error) -> i32 {
    match answer.print() {
        Err(failure) if !answer.use_stderr() => {
            error(format_args!("cannot write to stdout: {failure}"));
            1
        }
        _ => answer.exit_code(),
    }
}

/// A `--json` document on stdout.
pub fn json(document: &impl Serialize) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, document).map_err(Error::during("cannot write to stdout"))?;
    output::written(out.write_all(b"\n"))
}

/// A table in the tool's look: columns and no rules, for reading and for pasting.
pub fn table(header: impl IntoIterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    // Styles are written into the cells by `paint` and stripped by anstream, as in all other text.
    table.force_no_tty();
    table.set_header(header.into_iter().map(|name| paint(STRONG, name)));
    table
}

pub fn right(text: impl fmt::Display) -> Cell {
    Cell::new(text.to_string()).set_alignment(CellAlignment::Right)
}
