//! What can go wrong, and the exit code each kind gives.

use std::fmt;

/// A failure of the tool itself, in words for the user.
#[derive(Debug)]
pub enum Error {
    /// The command line asks for something that cannot be: exit code 2, as clap's own.
    Usage(String),
    /// Something else stood in the way: 1, or 125 from `trace`, where 1 may be CMD's own code.
    Failed(String),
    /// CMD does not exist: 127, as a shell says it.
    Missing(String),
    /// CMD exists and cannot be run: 126, as a shell says it.
    NotRunnable(String),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn exit_code(&self) -> i32 {
        match self {
            Error::Usage(_) => 2,
            Error::Failed(_) => 1,
            Error::NotRunnable(_) => 126,
            Error::Missing(_) => 127,
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
        }
    }
}

impl std::error::Error for Error {}
