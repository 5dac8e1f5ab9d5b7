//! What a process writes of itself where it is asked to: the log of its memory calls, the report at its end.
#![allow(unsafe_code)]

use super::instance::ALLOCATOR;
use crate::base::config::parse_bytes;
use crate::base::fatal;
use crate::os::log;
use crate::os::output::{self, Writer};
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// Standard error.
const STDERR: i32 = 2;

/// Begins the log, or says that there is none: `to` is a descriptor's number, or a file's name.
pub fn begin_log(to: Option<&[u8]>) {
    let Some(to) = to.filter(|to| !to.is_empty()) else { return log::end() };
    let begun = match parse_bytes(to).and_then(|number| i32::try_from(number).ok()) {
        Some(descriptor) => log::begin(descriptor),
        None => output::open(to).is_some_and(log::begin),
    };
    if !begun {
        log::end();
        fatal::warn(c"the log is left out: neither an open descriptor, nor a file that can be written");
    }
}

/// The name of the file that the report is appended to; standard error where there is none.
static TO: (AtomicPtr<u8>, AtomicUsize) = (AtomicPtr::new(core::ptr::null_mut()), AtomicUsize::new(0));

/// Has a report written when the program ends by exit: to a file, if one is named. May allocate.
pub fn report_at_exit(to: Option<&'static [u8]>) {
    extern "C" fn at_exit() {
        let (at, len) = (TO.0.load(Ordering::Relaxed), TO.1.load(Ordering::Relaxed));
        // SAFETY: the name that was set below, which stays.
        let name = (!at.is_null()).then(|| unsafe { core::slice::from_raw_parts(at, len) });
        report(name);
    }
    if let Some(name) = to {
        TO.1.store(name.len(), Ordering::Relaxed);
        TO.0.store(name.as_ptr().cast_mut(), Ordering::Relaxed);
    }
    static ASKED: AtomicBool = AtomicBool::new(false);
    // Relaxed: only told apart.
    if !ASKED.swap(true, Ordering::Relaxed) {
        // SAFETY: a function for the life of the process, or of the library that it is of.
        unsafe { libc::atexit(at_exit) };
    }
}

/// Writes a report: to standard error too where the file cannot be written.
fn report(to: Option<&[u8]>) {
    let file = to.and_then(|name| output::open(name));
    if to.is_some() && file.is_none() {
        fatal::warn(c"the report is on standard error: stats_out names no file that can be written");
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
