//! What stands in the way, or ought to be known: a sentence, and one that helps.

use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A word for machines, which does not change.
    pub reason: &'static str,
    pub text: String,
    /// What to do about it.
    pub help: String,
    /// It keeps brkmap from being the program's malloc.
    pub stops: bool,
}

/// It stands in the way.
pub fn obstacle(reason: &'static str, text: impl Into<String>, help: impl Into<String>) -> Finding {
    Finding { reason, text: text.into(), help: help.into(), stops: true }
}

/// It ought to be known.
pub fn note(reason: &'static str, text: impl Into<String>, help: impl Into<String>) -> Finding {
    Finding { stops: false, ..obstacle(reason, text, help) }
}
