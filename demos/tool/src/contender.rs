//! An allocator to be asked, and how to start a process that has it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use brkmap_base::error::{Error, Result};
use brkmap_tracer::Program;
use clap::Args;
use serde::Serialize;

use crate::variables::Configuration;
use crate::{console, locate};

/// The hidden first argument that makes this program a probe of the C functions.
pub const PROBE_ARGUMENT: &str = "__probe";

/// What is known of an allocator beforehand: only the words that give reasons use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Brkmap,
    Libc,
    Other,
}

#[derive(Clone, Debug)]
pub struct Contender {
    pub name: String,
    pub kind: Kind,
    /// The program and its first arguments.
    probe: Vec<OsString>,
    pub preload: Option<PathBuf>,
}

/// `NAME=PATH.so` of `--with`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct With {
    name: String,
    path: PathBuf,
}

/// Which allocators to ask.
#[derive(Args, Default)]
#[group(skip)]
pub struct Arguments {
    /// Ask another allocator too: a shared library that replaces malloc (repeatable)
    #[arg(long, value_name = "NAME=PATH.so")]
    pub with: Vec<With>,
    /// Ask these alone: brkmap (by LD_PRELOAD), brkmap-rust (as global allocator), glibc, or a NAME
    /// given by --with
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub only: Vec<String>,
    /// The libbrkmap.so to preload [default: the one beside this program, else built by cargo]
    #[arg(long, value_name = "PATH")]
    pub preload: Option<PathBuf>,
    /// The Rust probe to run [default: the one beside this program, else built by cargo]
    #[arg(long, value_name = "PATH")]
    pub probe: Option<PathBuf>,
}

pub const LIBC: &str = if cfg!(target_env = "musl") { "musl" } else { "glibc" };
const PRELOADED: &str = "brkmap";
const RUST: &str = "brkmap-rust";

impl FromStr for With {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<With, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                Ok(With { name: name.into(), path: path.into() })
            }
            _ => {
                Err("write NAME=PATH, for example jemalloc=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2".into())
            }
        }
    }
}

impl Contender {
    /// What to run for `scenario` at `size`. The environment is passed on, so that an allocator can
    /// be studied with its settings.
    pub fn program(&self, scenario: &str, size: u64) -> Program {
        let mut argv = self.probe.clone();
        argv.extend([scenario.into(), size.to_string().into()]);
        let mut program = Program::new(argv);
        match &self.preload {
            Some(path) => program.set("LD_PRELOAD", path),
            None => program.remove("LD_PRELOAD"),
        }
        // It was said once, for all probes; each would say it again.
        program.set("BRKMAP_QUIET", "on");
        program
    }

    /// Those the command line asks for, brkmap first; builds what is missing.
    pub fn chosen(args: &Arguments) -> Result<Vec<Contender>> {
        for wrong in Configuration::own().wrong {
            console::note(&wrong.text);
        }
        let mut names = vec![PRELOADED, RUST, LIBC];
        names.extend(args.with.iter().map(|with| with.name.as_str()));
        if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(Error::Usage(format!("the name `{}` is taken: give --with another", twice.1)));
        }
        if let Some(unknown) = args.only.iter().find(|only| !names.contains(&only.as_str())) {
            let known = names.join(", ");
            return Err(Error::Usage(format!("--only `{unknown}`: there is no such row; there are {known}")));
        }
        let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
        let mut chosen = Vec::new();
        if wanted(PRELOADED) {
            let library = library(&locate::preload(args.preload.as_deref())?)?;
            chosen.push(Contender::in_c(PRELOADED, Kind::Brkmap, Some(library))?);
        }
        if wanted(RUST) {
            let probe = vec![locate::rust_probe(args.probe.as_deref())?.into_os_string()];
            chosen.push(Contender { name: RUST.into(), kind: Kind::Brkmap, probe, preload: None });
        }
        if wanted(LIBC) {
            chosen.push(Contender::in_c(LIBC, Kind::Libc, None)?);
        }
        for with in args.with.iter().filter(|with| wanted(&with.name)) {
            chosen.push(Contender::in_c(&with.name, Kind::Other, Some(library(&with.path)?))?);
        }
        Ok(chosen)
    }

    /// The C functions, called by this very program.
    fn in_c(name: &str, kind: Kind, preload: Option<PathBuf>) -> Result<Contender> {
        let this = std::env::current_exe().map_err(Error::during("cannot find this program's file"))?;
        Ok(Contender { name: name.into(), kind, probe: vec![this.into(), PROBE_ARGUMENT.into()], preload })
    }
}

/// The loader reads LD_PRELOAD as a list and passes over what it cannot load with a mere warning.
fn library(path: &Path) -> Result<PathBuf> {
    let full = path
        .canonicalize()
        .map_err(|error| Error::Usage(format!("the library {} cannot be opened: {error}", path.display())))?;
    let text = full.as_os_str().as_encoded_bytes();
    if text.iter().any(|byte| b" :".contains(byte)) {
        let shown = full.display();
        return Err(Error::Usage(format!("LD_PRELOAD cannot hold a path with a blank or a colon: {shown}")));
    }
    Ok(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(with: &[&str], only: &[&str]) -> Arguments {
        Arguments {
            with: with.iter().map(|text| text.parse().unwrap()).collect(),
            only: only.iter().map(|name| (*name).into()).collect(),
            ..Arguments::default()
        }
    }

    #[test]
    fn with_needs_a_name_and_a_path() {
        let with: With = "je=/lib/je.so".parse().unwrap();
        assert_eq!((with.name.as_str(), with.path.as_path()), ("je", Path::new("/lib/je.so")));
        for bad in ["/lib/je.so", "=/lib/je.so", "je=", ""] {
            assert!(bad.parse::<With>().unwrap_err().contains("NAME=PATH"), "{bad}");
        }
    }

    #[test]
    fn only_picks_rows_and_names_the_unknown() {
        let chosen = Contender::chosen(&args(&[], &[LIBC])).unwrap();
        assert_eq!(chosen.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), [LIBC]);
        let error = Contender::chosen(&args(&[], &["tcmalloc"])).unwrap_err();
        assert!(error.to_string().contains("`tcmalloc`") && error.exit_code() == 2, "{error}");
    }

    #[test]
    fn a_name_is_used_once() {
        let error = Contender::chosen(&args(&["glibc=/x.so"], &[LIBC])).unwrap_err();
        assert!(error.to_string().contains("taken") || LIBC != "glibc", "{error}");
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = Contender::chosen(&args(&["none=/no/such.so"], &["none"])).unwrap_err();
        assert!(error.to_string().contains("/no/such.so") && error.exit_code() == 2, "{error}");
    }
}
