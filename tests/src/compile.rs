//! C programs and libraries of `tests/programs`, compiled by the test that needs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{program, skip};

/// What was compiled, in a folder that goes with it.
pub struct Compiled {
    _folder: TempDir,
    path: PathBuf,
}

impl Compiled {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The program under these libraries, in their order.
    pub fn preloaded(&self, libraries: &[&Path]) -> Command {
        let mut command = Command::new(&self.path);
        let shown: Vec<_> = libraries.iter().map(|library| library.display().to_string()).collect();
        command.env("LD_PRELOAD", shown.join(":"));
        command
    }
}

/// Compiles `tests/programs/NAME.c`. None where there is no compiler, as was said then.
pub fn c(name: &str, flags: &[&str]) -> Option<Compiled> {
    let compiler = skip::tool("gcc")?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    let mut command = Command::new(compiler);
    // Without builtins: the compiler knows what malloc promises, and drops calls whose blocks nobody uses.
    command.args(["-O1", "-w", "-fno-builtin", "-pthread"]).args(flags).arg("-o").arg(&path);
    command.arg(program::root().join("tests/programs").join(name).with_extension("c")).arg("-ldl");
    program::run(command).expect_success(name);
    Some(Compiled { _folder: folder, path })
}

/// The same as a shared library.
pub fn library(name: &str, flags: &[&str]) -> Option<Compiled> {
    c(name, &[&["-shared", "-fPIC"], flags].concat())
}
