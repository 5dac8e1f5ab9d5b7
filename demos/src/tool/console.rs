//! What the terminal shows: colours where there is a terminal, plain text everywhere else.
//!
//! anstream decides (terminal, NO_COLOR, CLICOLOR_FORCE, TERM=dumb) and strips what must not show,
//! so the rest of the tool writes styled text and never asks.

use std::io;

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use super::error::{Error, Result};
use super::syscall::Syscall;

pub const STRONG: Style = Style::new().bold();
pub const FAINT: Style = Style::new().dimmed();
pub const FAILURE: Style = AnsiColor::Red.on_default().bold();
pub const BREAK: Style = AnsiColor::Green.on_default();
pub const MAPPING: Style = AnsiColor::Cyan.on_default();
pub const GIVEN_BACK: Style = AnsiColor::Yellow.on_default();

pub fn style(syscall: Syscall) -> Style {
    match syscall {
        Syscall::Brk => BREAK,
        Syscall::Mmap | Syscall::Mremap => MAPPING,
        Syscall::Munmap => GIVEN_BACK,
        Syscall::Madvise | Syscall::Mprotect => Style::new(),
    }
}

pub fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A failure, on stderr.
pub fn error(text: impl std::fmt::Display) {
    anstream::eprintln!("{}: {text}", paint(FAILURE, "brkmap"));
}

/// Something the user should know while they wait, on stderr.
pub fn note(text: impl std::fmt::Display) {
    anstream::eprintln!("{}: {text}", paint(FAINT, "brkmap"));
}

/// A `--json` document on stdout.
pub fn json(document: &impl Serialize) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, document).map_err(Error::during("cannot write to stdout"))?;
    io::Write::write_all(&mut out, b"\n").map_err(Error::during("cannot write to stdout"))
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

pub fn right(text: impl std::fmt::Display) -> Cell {
    Cell::new(text.to_string()).set_alignment(CellAlignment::Right)
}

/// Breaks a paragraph into lines of at most `width` characters, all but the first indented. A
/// unit stays with its number.
pub fn wrap(text: &str, width: usize, indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a first line");
        let unit = matches!(word.trim_end_matches([',', ';', ':', '.']), "B" | "KiB" | "MiB" | "GiB");
        if !unit && !line.trim().is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(format!("{indent}{word}"));
        } else {
            if !line.trim().is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_wrapped_and_indented() {
        assert_eq!(wrap("one two three", 7, "  "), "one two\n  three");
        assert_eq!(wrap("one", 2, ""), "one");
        assert_eq!(wrap("", 10, ""), "");
        assert_eq!(wrap("at 64 KiB, then", 7, ""), "at 64 KiB,\nthen");
    }
}
