//! The allocator's own code as its users get it, and how findings in it are told.

use std::path::{Path, PathBuf};

use crate::program::root;

/// A file of allocator/src as it is compiled for users.
pub struct Production {
    pub path: PathBuf,
    /// Module path from the crate's root; empty for lib.rs.
    pub module: Vec<String>,
    pub text: String,
    /// The same without comments, strings and tests.
    pub code: String,
}

/// All of them.
pub fn production() -> Vec<Production> {
    let package = root().join("allocator");
    let for_tests = super::reached(&package).tests;
    let files = super::with_ending("allocator/src", "rs");
    let files = files.into_iter().filter(|path| !for_tests.contains(path));
    files
        .map(|path| {
            let text = super::text(&path).expect("Rust is text");
            let code = super::without_tests(&super::code(&text));
            let inner = path.strip_prefix(package.join("src")).expect("it lies there").with_extension("");
            let mut module: Vec<String> =
                inner.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            module.retain(|part| part != "lib" && part != "mod");
            Production { path, module, text, code }
        })
        .collect()
}

/// Fails with what was found, a line each.
pub fn assert_none(found: Vec<String>, what: &str) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// The lines of `code` for which `bad` gives a word, as messages.
pub fn lines(path: &Path, code: &str, bad: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let numbered = code.lines().enumerate();
    numbered
        .filter_map(|(at, line)| bad(line).map(|why| format!("{}:{}: {why}", super::shown(path), at + 1)))
        .collect()
}
