//! How long a test looks for what is rare.

/// So many rounds in a usual run, and so many where `tests/run --full` soaks.
pub fn rounds(usual: usize, full: usize) -> usize {
    if std::env::var_os("BRKMAP_FULL").is_some_and(|value| value == "1") { full } else { usual }
}
