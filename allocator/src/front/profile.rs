//! The heap profile: where the memory comes from that a program uses.
//!
//! One byte in so many is a sample, wherever it is in a block, so a site's samples are in proportion to the
//! bytes that it allocates, whatever their sizes and however long they live. While no profile is taken it
//! costs nothing.
//!
//! ```no_run
//! # #[cfg(feature = "profile")]
//! # fn main() -> std::io::Result<()> {
//! brkmap::profile::start(brkmap::profile::RATE);
//! // …
//! let file = std::fs::File::create("heap.pb.gz")?;
//! brkmap::profile::write_pprof(file, brkmap::profile::Packing::Gzip)?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "profile"))]
//! # fn main() {}
//! ```
//!
//! `brkmap profile heap.pb.gz` shows it, and so do `go tool pprof` and all that read its format. Without
//! changes of the program, `BRKMAP_CONF=profile:512K` in its environment does the same.
//!
//! Not sampled is what a thread takes before it takes part: at its next free or its next request that the
//! thread has no block at hand for. Blocks that stay where they are when they change their size keep their
//! site if a size class serves them; longer ones count as new.

use crate::base::config::{SAMPLE_RATE, STACK_DEPTH};
use crate::files::sink::Sink;
use crate::files::{Form, Moment};
use crate::front::rust::StdWord;
use crate::process::profiling;
use std::io::{self, Write};

/// Bytes between two samples in the mean that cost little: 512 KiB.
pub const RATE: usize = SAMPLE_RATE;

/// Return addresses that a sample has at most.
pub const DEPTH: usize = STACK_DEPTH;

/// How pprof's protocol buffer is written. Whoever reads it takes both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    /// As it is.
    Plain,
    /// Compressed by gzip.
    Gzip,
}

/// Begins a profile, of a sample in `rate` bytes in the mean (1 at least), and forgets the one before. All
/// threads take part. False where another thread starts or stops one at this moment, and where there is no
/// memory for it.
pub fn start(rate: usize) -> bool {
    profiling::start::<StdWord>(rate, None)
}

/// The same with distances that are drawn from a seed: for tests.
#[doc(hidden)]
pub fn start_seeded(rate: usize, seed: u64) -> bool {
    profiling::start::<StdWord>(rate, Some(seed))
}

/// Ends the profile. It can be written until the next one begins. False where another
/// thread starts or stops one at this moment.
pub fn stop() -> bool {
    profiling::stop::<StdWord>()
}

/// Writes the profile as pprof's protocol buffer (profile.proto), with Go's four values, in blocks and bytes:
/// `alloc_objects`, `alloc_space`, `inuse_objects`, `inuse_space`; and a fifth, `inuse_requested`, the bytes
/// that the program asked for. It has addresses, and the files that are mapped there with their build ids.
///
/// An error is `out`'s, or there was no memory.
pub fn write_pprof(out: impl Write, packing: Packing) -> io::Result<()> {
    let form = match packing {
        Packing::Plain => Form::Pprof,
        Packing::Gzip => Form::PprofGzip,
    };
    write(out, Moment::Now, form)
}

/// The same, with what was in use when most was.
pub fn write_pprof_of_peak(out: impl Write, packing: Packing) -> io::Result<()> {
    let form = match packing {
        Packing::Plain => Form::Pprof,
        Packing::Gzip => Form::PprofGzip,
    };
    write(out, Moment::Peak, form)
}

/// Writes the profile as the JSON of valgrind's DHAT, for its viewer (`dh_view.html`).
///
/// An error is `out`'s, or there was no memory.
pub fn write_dhat(out: impl Write) -> io::Result<()> {
    write(out, Moment::Now, Form::Dhat)
}

fn write(out: impl Write, moment: Moment, form: Form) -> io::Result<()> {
    let mut stream = Stream { out, bytes: [0; 4096], len: 0, error: None };
    let written = profiling::write(moment, form, &mut stream);
    stream.flush();
    match stream.error {
        Some(error) => Err(error),
        None if !written => Err(io::ErrorKind::OutOfMemory.into()),
        None => stream.out.flush(),
    }
}

struct Stream<W: Write> {
    out: W,
    bytes: [u8; 4096],
    len: usize,
    error: Option<io::Error>,
}

impl<W: Write> Stream<W> {
    fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.out.write_all(self.bytes.get(..self.len).unwrap_or(&[])).err();
        }
        self.len = 0;
    }
}

impl<W: Write> Sink for Stream<W> {
    fn put(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.len == self.bytes.len() {
                self.flush();
            }
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = byte;
            }
            self.len += 1;
        }
    }
}
