//! A test that cannot run says so on a line `SKIP name: reason`; tests/run counts it as skipped, not passed.

use std::path::{Path, PathBuf};

/// Says that the running test did not run. The caller returns.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("test").replace("::", ".");
    println!("SKIP {name}: {reason}");
}

/// The program, or the line that says it is not there. `missing` is what .ci/run does not accept; where this
/// machine may not install anything, the suite has said so in BRKMAP_CANNOT.
pub fn tool(name: &str) -> Option<PathBuf> {
    let found = if name.contains('/') {
        Some(PathBuf::from(name)).filter(|path| path.exists())
    } else {
        std::env::var_os("PATH")
            .iter()
            .flat_map(std::env::split_paths)
            .map(|folder| folder.join(name))
            .find(|path: &PathBuf| Path::exists(path))
    };
    if found.is_none() {
        let word = if std::env::var_os("BRKMAP_CANNOT").is_some() { "cannot install" } else { "missing" };
        skip(&format!("{word} {name}"));
    }
    found
}
