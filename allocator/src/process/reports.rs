//! What a process writes of itself where it is asked to: the log of its memory calls, the report at its end.
#![allow(unsafe_code)]

use super::instance::ALLOCATOR;
use super::voice::say;
use crate::base::complaint;
use crate::base::keys::{Key, STATS_EXIT};
use crate::os::log;
use crate::os::output::{self, Writer};
use core::fmt::Write;

/// Standard error.
const STDERR: i32 = 2;

/// Begins the log, to a descriptor of a number or to a file of a name, if there is to be one.
pub fn begin_log() {
    let to = ALLOCATOR.arena.settings.text(Key::Log);
    if to.bytes().is_empty() {
        return;
    }
    let begun = match to.as_str().parse() {
        Ok(descriptor) => log::begin(descriptor),
        Err(_) => output::open(to.bytes()).is_some_and(log::begin),
    };
    if !begun {
        say(&complaint::no_output(Key::Log, to.bytes(), "there is no log"));
    }
}

/// Has a report written when the program ends by exit, if there is to be one. May allocate.
pub fn report_at_exit() {
    extern "C" fn at_exit() {
        let to = ALLOCATOR.arena.settings.text(Key::StatsOut);
        report(Some(to.bytes()).filter(|name| !name.is_empty()));
    }
    if ALLOCATOR.arena.settings.get(Key::Stats) == STATS_EXIT {
        // SAFETY: a function for the life of the process, or of the library that it is of.
        unsafe { libc::atexit(at_exit) };
    }
}

/// Writes a report: to standard error too where the file cannot be written.
fn report(to: Option<&[u8]>) {
    let file = to.and_then(output::open);
    if let Some(name) = to.filter(|_| file.is_none()) {
        say(&complaint::no_output(Key::StatsOut, name, "the report is on standard error"));
    }
    Writer::to(file.unwrap_or(STDERR)).page(|out| {
        ALLOCATOR.stats().write_text(out, Some(ALLOCATOR.classes()))?;
        out.write_str("resident memory\n")?;
        match ALLOCATOR.residency() {
            Some(residency) => residency.write_text(out),
            None => out.write_str("not known: /proc is not mounted\n"),
        }
    });
    if let Some(file) = file {
        output::close(file);
    }
}
