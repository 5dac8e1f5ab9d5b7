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
    let found = found(name);
    if found.is_none() {
        let word = if std::env::var_os("BRKMAP_CANNOT").is_some() { "cannot install" } else { "missing" };
        skip(&format!("{word} {name}"));
    }
    found
}

/// The program, if it is there.
pub fn found(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.exists());
    }
    let path = std::env::var_os("PATH");
    let mut places = path.iter().flat_map(std::env::split_paths).map(|folder| folder.join(name));
    places.find(|path| Path::exists(path))
}
