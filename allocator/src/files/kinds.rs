//! The kinds of files, and what is said in them of the time.
#![forbid(unsafe_code)]

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
