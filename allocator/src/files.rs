//! The heap profile as files: what `samples` knows, in forms that other tools read. Addresses only: names are
//! for whoever has the debug information.
//!
//! Whoever writes holds no lock, and has its memory from the kernel: sampling goes on meanwhile, and a signal
//! handler may write.

mod addresses;
mod dhat;
mod file;
mod gzip;
mod kinds;
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
pub use kinds::{Form, Moment, Span};

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
