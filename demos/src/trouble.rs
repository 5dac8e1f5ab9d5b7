//! Why a program stops early, and the exit code that goes with it.

use std::fmt;
use std::process::ExitCode;

use nix::sys::signal::{SigHandler, Signal, signal};

/// A claim did not hold, or the system refused something it should not.
pub const EXIT_BROKEN: u8 = 1;
/// The user gave us something we cannot work on.
pub const EXIT_INPUT: u8 = 2;
/// Ended by Ctrl-C, as shells spell it.
pub const EXIT_INTERRUPTED: u8 = 130;

#[derive(Debug)]
pub enum Trouble {
    /// What was wrong, and what would be right.
    Input(String),
    /// A call failed that had no reason to.
    System(String),
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

impl Trouble {
    pub fn input(text: impl Into<String>) -> Trouble {
        Trouble::Input(text.into())
    }

    pub fn system(text: impl Into<String>) -> Trouble {
        Trouble::System(text.into())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Trouble::Input(_) => EXIT_INPUT,
            Trouble::System(_) => EXIT_BROKEN,
            Trouble::Interrupted => EXIT_INTERRUPTED,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Input(text) | Trouble::System(text) => f.write_str(text),
            Trouble::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Trouble {}

/// Names the step an error came from: `file.sync_all().during("write the file back")?`
pub trait During<T> {
    fn during(self, step: &str) -> Result<T, Trouble>;
}

impl<T, E: fmt::Display> During<T> for Result<T, E> {
    fn during(self, step: &str) -> Result<T, Trouble> {
        self.map_err(|error| Trouble::System(format!("could not {step}: {error}")))
    }
}

/// The frame of every `main`: errors go to stderr, and become the exit code.
pub fn run(body: impl FnOnce() -> Result<ExitCode, Trouble>) -> ExitCode {
    // SAFETY: SIG_DFL runs no code of ours. Rust starts with SIGPIPE ignored, which would turn
    // `share watch F | head` into a panic in println.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    match body() {
        Ok(code) => code,
        Err(trouble) => {
            if !matches!(trouble, Trouble::Interrupted) {
                anstream::eprintln!("error: {trouble}");
            }
            ExitCode::from(trouble.exit_code())
        }
    }
}
