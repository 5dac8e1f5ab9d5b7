//! The allocators: which there are, and what has to run to have each.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use brkmap_base::error::{Error, Result};

use brkmap_race::peers;

use super::cli::Options;
use super::process::Invocation;
use super::row::Measurable;
use super::{build, machine};
use crate::results::{self, Allocator, Kind, Set, Skipped};

/// An allocator inside Rust programs: a load of its own, behind a feature of this package.
pub struct RustPeer {
    pub name: &'static str,
    pub feature: Option<&'static str>,
    /// The crate whose version is shown.
    pub package: Option<&'static str>,
}

const fn rust(name: &'static str, feature: Option<&'static str>, package: Option<&'static str>) -> RustPeer {
    RustPeer { name, feature, package }
}

pub const RUST: [RustPeer; 10] = [
    rust("brkmap", None, Some("brkmap")),
    rust("brkmap-override", Some("override"), Some("brkmap")),
    rust("system", Some("system"), None),
    rust("mimalloc", Some("mimalloc"), Some("mimalloc")),
    rust("mimalloc-v2", Some("mimalloc-v2"), Some("mimalloc")),
    rust("jemalloc", Some("jemalloc"), Some("tikv-jemallocator")),
    rust("snmalloc", Some("snmalloc"), Some("snmalloc-rs")),
    rust("rusty_alloc", Some("rusty_alloc"), Some("rusty_alloc-api")),
    rust("smmalloc", Some("smmalloc"), Some("smmalloc")),
    rust("dlmalloc", Some("dlmalloc"), Some("dlmalloc")),
];

/// The same, linked statically with musl. mimalloc needs a C compiler for it.
pub const MUSL: [RustPeer; 3] = [
    rust("brkmap", None, Some("brkmap")),
    rust("musl", Some("system"), None),
    rust("mimalloc", Some("mimalloc"), Some("mimalloc")),
];

/// `NAME=PATH.so` of `--with`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct With {
    pub name: String,
    pub path: PathBuf,
}

impl FromStr for With {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<With, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                Ok(With { name: name.into(), path: path.into() })
            }
            _ => Err("write NAME=PATH, for example mimalloc=out/libmimalloc.so".into()),
        }
    }
}

/// An allocator that is there.
pub struct Subject {
    pub allocator: Allocator,
    /// The load that has it.
    pub load: PathBuf,
    pub preload: Option<PathBuf>,
}

impl Subject {
    pub fn name(&self) -> &str {
        &self.allocator.name
    }

    /// Its load with these arguments.
    pub fn load(&self, arguments: &[&str]) -> Invocation {
        let mut invocation = Invocation::new(&self.load, arguments);
        invocation.preload = self.preload.clone();
        invocation
    }
}

/// A set while it is being measured.
pub struct Measured {
    pub kind: Kind,
    pub subjects: Vec<Subject>,
    pub skipped: Vec<Skipped>,
    pub rows: Vec<Measurable>,
}

impl Measured {
    fn new(kind: Kind) -> Measured {
        Measured { kind, subjects: Vec::new(), skipped: Vec::new(), rows: Vec::new() }
    }

    pub fn skip(&mut self, name: &str, reason: impl Into<String>) {
        let reason = reason.into();
        eprintln!("matrix: {name} is skipped: {reason}");
        self.skipped.push(Skipped { name: name.into(), reason });
    }

    pub fn results(self) -> Set {
        let allocators: Vec<Allocator> = self.subjects.into_iter().map(|subject| subject.allocator).collect();
        let reference = results::reference(allocators.iter().map(|allocator| allocator.name.as_str()));
        let rows = self.rows.into_iter().map(|measurable| measurable.row).collect();
        Set { kind: self.kind, reference, allocators, skipped: self.skipped, rows }
    }
}

/// Builds and finds all that the options want.
pub fn sets(options: &Options) -> Result<Vec<Measured>> {
    if let Some(complaint) = options.unknown() {
        return Err(Error::Usage(complaint));
    }
    let mut sets = Vec::new();
    if options.wants_set(Kind::Rust) {
        sets.push(rust_set(Kind::Rust, &RUST, options));
    }
    if options.wants_set(Kind::Preload) {
        sets.push(preload_set(options)?);
    }
    if options.wants_set(Kind::Musl) {
        sets.push(rust_set(Kind::Musl, &MUSL, options));
    }
    Ok(sets)
}

fn rust_set(kind: Kind, peers: &[RustPeer], options: &Options) -> Measured {
    let mut set = Measured::new(kind);
    for peer in peers.iter().filter(|peer| options.wants_allocator(peer.name)) {
        let load = match kind {
            Kind::Musl => build::static_load(peer.name, peer.feature, &options.profile),
            _ => build::load(peer.name, peer.feature, &options.profile),
        };
        match load {
            Ok(load) => {
                let own = || if kind == Kind::Musl { "of Rust's target".into() } else { machine::libc() };
                let version = peer.package.map_or_else(own, build::version);
                let allocator = Allocator { name: peer.name.into(), version, ..Allocator::default() };
                set.subjects.push(Subject { allocator, load, preload: None });
            }
            Err(reason) => set.skip(peer.name, reason),
        }
    }
    set
}

fn preload_set(options: &Options) -> Result<Measured> {
    let mut set = Measured::new(Kind::Preload);
    let load = build::load("system", Some("system"), &options.profile).map_err(Error::Failed)?;
    let mut add = |name: &str, version: String, preload: Option<PathBuf>| {
        if set.subjects.iter().any(|subject| subject.name() == name) {
            return set.skip(name, "there is one of this name already");
        }
        let allocator = Allocator { name: name.into(), version, ..Allocator::default() };
        let subject = Subject { allocator, load: load.clone(), preload };
        match check(&subject) {
            Ok(()) => set.subjects.push(subject),
            Err(reason) => set.skip(name, reason),
        }
    };
    if options.wants_allocator("brkmap") {
        let library = build::preload(&options.profile).map_err(Error::Failed)?;
        add("brkmap", env!("CARGO_PKG_VERSION").into(), Some(library));
    }
    if options.wants_allocator("glibc") {
        add("glibc", machine::libc(), None);
    }
    for with in options.with.iter().filter(|with| options.wants_allocator(&with.name)) {
        let version = with.path.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_owned()));
        let version = version.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        add(&with.name, version, Some(with.path.clone()));
    }
    let given = |name: &str| options.with.iter().any(|with| with.name == name);
    let wanted = |peer: &&peers::Peer| options.wants_allocator(peer.name) && !given(peer.name);
    for peer in peers::ALL.iter().filter(wanted) {
        add(
            peer.name,
            build::debian_version(peer.package),
            Some(peer.found().unwrap_or_else(|| peer.path())),
        );
    }
    Ok(set)
}

/// That the load's malloc is the library's: the loader only warns of what it cannot preload.
fn check(subject: &Subject) -> std::result::Result<(), String> {
    let Some(library) = &subject.preload else { return Ok(()) };
    let library = library.canonicalize().map_err(|error| format!("{}: {error}", file_name(library)))?;
    let said = subject.load(&["whose-malloc"]).run().and_then(|outcome| outcome.success())?;
    let owner = Path::new(said.trim()).canonicalize().unwrap_or_default();
    if owner != library {
        return Err(format!("preloaded, yet malloc is that of {}", file_name(&owner)));
    }
    Ok(())
}

/// Of a path only this is shown: results do not name folders of a machine.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_needs_a_name_and_a_path() {
        assert_eq!("a=/b=c".parse(), Ok(With { name: "a".into(), path: "/b=c".into() }));
        for wrong in ["", "a", "=b", "a="] {
            assert!(wrong.parse::<With>().is_err(), "{wrong}");
        }
    }
}
