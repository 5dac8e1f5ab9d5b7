//! What can go wrong, and the exit code each kind gives.

use std::fmt;

/// A failure in words for the user.
#[derive(Debug)]
pub enum Error {
    /// What was asked for cannot be: what is wrong, and what would be right. Exit code 2, as clap's own.
    Usage(String),
    /// Something else stood in the way: 1.
    Failed(String),
    /// The command to run does not exist: 127, as a shell says it.
    Missing(String),
    /// The command to run exists and cannot be run: 126, as a shell says it.
    NotRunnable(String),
    /// Ended by Ctrl-C or SIGTERM: 130, as a shell says it.
    Interrupted,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn usage(text: impl Into<String>) -> Error {
        Error::Usage(text.into())
    }

    pub fn failed(text: impl Into<String>) -> Error {
        Error::Failed(text.into())
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Failed(_) => 1,
            Error::NotRunnable(_) => 126,
            Error::Missing(_) => 127,
            Error::Interrupted => 130,
        }
    }

    /// For calls that fail with errno or an `io::Error`: what was tried, then the system's word.
    pub fn during<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Error {
        move |error| Error::Failed(format!("{what}: {error}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(text) | Error::Failed(text) | Error::Missing(text) | Error::NotRunnable(text) => {
                f.write_str(text)
            }
            Error::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Error {}

/// Names the step an error came from: `file.sync_all().during("write the file back")?`
pub trait During<T> {
    fn during(self, step: &str) -> Result<T>;
}

impl<T, E: fmt::Display> During<T> for Result<T, E> {
    fn during(self, step: &str) -> Result<T> {
        self.map_err(Error::during(format_args!("could not {step}")))
    }
}
