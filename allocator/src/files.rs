//! The heap profile as files: what `samples` knows, in forms that other tools read. Addresses only: names are
//! for whoever has the debug information.
//!
//! Whoever writes holds no lock, and has its memory from the kernel: sampling goes on meanwhile, and a signal
//! handler may write.

mod addresses;
mod dhat;
mod file;
mod gzip;
mod mappings;
mod message;
mod pprof;
mod scratch;
pub mod sink;

use crate::os::Os;
use crate::samples::Samples;
use gzip::Gzip;
use sink::Sink;

pub use file::{File, Name};

/// How a profile is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// pprof's protocol buffer.
    Pprof,
    /// The same, compressed, as Go writes it.
    PprofGzip,
    /// The JSON of valgrind's DHAT.
    Dhat,
}

impl Form {
    /// By the end of a file's name: `.json` is DHAT's, `.gz` is compressed.
    pub fn of_name(name: &[u8]) -> Form {
        if name.ends_with(b".json") {
            Form::Dhat
        } else if name.ends_with(b".gz") {
            Form::PprofGzip
        } else {
            Form::Pprof
        }
    }
}

/// What counts as in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    Now,
    /// When most was.
    Peak,
}

/// When a profile began, in nanoseconds since 1970, and how long it has been taken, in nanoseconds.
#[derive(Clone, Copy)]
pub struct Span {
    pub began: u64,
    pub lasted: u64,
}

/// Writes what is known. False where there was no memory for it; whether `out` took all, `out` knows.
pub fn write<O: Os>(
    samples: &Samples,
    os: &O,
    span: Span,
    moment: Moment,
    form: Form,
    out: &mut impl Sink,
) -> bool {
    match form {
        Form::Pprof => pprof::write(samples, os, span, moment, out),
        Form::Dhat => dhat::write(samples, os, span, out),
        Form::PprofGzip => {
            let Some(mut gzip) = Gzip::new(os, out) else { return false };
            let written = pprof::write(samples, os, span, moment, &mut gzip);
            gzip.finish();
            written
        }
    }
}
